/* SPDX-License-Identifier: MIT */
#include <string>
#include <unistd.h>

#include <boost/interprocess/managed_shared_memory.hpp>

#include "heap_boost.h"

namespace bi = boost::interprocess;

static bi::managed_shared_memory *segment;
static std::string name;

bool
bench_boost_begin(size_t size)
{
	name = "bench-heap-" + std::to_string(getpid());
	segment = new bi::managed_shared_memory(bi::create_only, name.c_str(),
						size);
	return true;
}

void
bench_boost_end()
{
	delete segment;
	bi::shared_memory_object::remove(name.c_str());
}

void *
bench_boost_alloc(size_t size)
{
	return segment->allocate(size, std::nothrow);
}

void
bench_boost_free(void *p)
{
	segment->deallocate(p);
}
