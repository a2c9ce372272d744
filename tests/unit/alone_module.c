/* SPDX-License-Identifier: MIT */
/*
 * A library that needs no other one, so that it can be loaded where there is none: a C
 * library beside it would take of what each thread has for variables of its own, of which
 * a sanitizer leaves too little.
 */
int alone(void);

int
alone(void)
{
	return 12;
}
