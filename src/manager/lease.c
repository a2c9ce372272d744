/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/error.h"
#include "manager/desk_priv.h"

#define LEASES_MOST 4096 /* of one client */

int
mpr_lease_make(struct mpr_post *p, const struct mpr_party *party,
	       struct mpr_lease **ret)
{
	struct mpr_served *c = party->client;
	struct mpr_lease *lease = party->reserve;

	if (!lease && c->n_leases == LEASES_MOST)
		return mpr_fail(-ENOLCK, "this client has %d locks and the like "
				"already", LEASES_MOST);
	if (!lease)
		lease = mpr_desk_take_memory(c, sizeof(*lease));
	if (!lease)
		return -ENOMEM;
	*lease = (struct mpr_lease){ .post = p, .party = *party };
	*ret = lease;
	return 0;
}

void
mpr_lease_begin(struct mpr_lease *lease, struct mpr_self *self)
{
	struct mpr_post *p = lease->post;
	struct mpr_served *c = lease->party.client;

	lease->self = self;
	c->n_leases++;
	lease->next = p->leases;
	if (lease->next)
		lease->next->previous = lease;
	p->leases = lease;
	lease->next_of = c->leases;
	if (lease->next_of)
		lease->next_of->previous_of = lease;
	c->leases = lease;
}

void
mpr_lease_forget(struct mpr_lease *lease)
{
	if (lease->note) {
		mpr_deputies_give_note(lease->post->desk->deputies, lease->note);
		lease->party.client->n_notes--;
	}
	/* It stays with the request that has brought it. */
	if (lease == lease->party.reserve)
		return;
	mpr_desk_give_memory(lease->party.client, lease, sizeof(*lease));
}

struct mpr_lease *
mpr_lease_find(const struct mpr_post *p, const struct mpr_party *party)
{
	struct mpr_lease *lease = p->leases;

	while (lease && (lease->party.client != party->client ||
			 lease->party.thread != party->thread))
		lease = lease->next;
	return lease;
}

void
mpr_lease_take_out(struct mpr_lease *lease)
{
	if (lease->next)
		lease->next->previous = lease->previous;
	if (lease->previous)
		lease->previous->next = lease->next;
	else
		lease->post->leases = lease->next;
	if (lease->next_of)
		lease->next_of->previous_of = lease->previous_of;
	if (lease->previous_of)
		lease->previous_of->next_of = lease->next_of;
	else
		lease->party.client->leases = lease->next_of;
	lease->party.client->n_leases--;
	lease->self = NULL;
	lease->party.reserve = NULL;
	mpr_condition_is_back(lease->post->desk, &lease->party);
	lease->party.called = NULL;
}

int
mpr_lease_take_note(struct mpr_lease *lease, struct mpr_self **ret_self)
{
	struct mpr_desk *d = lease->post->desk;
	struct mpr_served *c = lease->party.client;
	int r = mpr_desk_get_first(d, ret_self);

	if (r < 0)
		return r;
	/* Not more than half of what others leave. */
	r = c->n_notes < MPR_DEPUTIES_NOTES - mpr_deputies_notes(d->deputies) ?
		    mpr_deputies_take_note(d->deputies, ret_self, &lease->note) :
		    -EBUSY;
	if (r == -EBUSY)
		return mpr_fail(-ENOLCK, "clients are parties of barriers as often as "
				"they may");
	if (r == 0)
		c->n_notes++;
	return r;
}

void
mpr_lease_drop(struct mpr_lease *lease)
{
	mpr_lease_take_out(lease);
	mpr_lease_forget(lease);
}
