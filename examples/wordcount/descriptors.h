/* SPDX-License-Identifier: MIT */
/*
 * descriptors.h - how many files may be open.
 *
 * Each worker takes a descriptor in the parent, and 1000 of them reach the
 * usual limit. A few are kept back, so that where the limit cannot be raised
 * there are fewer workers rather than no files to read.
 */
#ifndef WORDCOUNT_DESCRIPTORS_H
#define WORDCOUNT_DESCRIPTORS_H

/* Allows this process, and those that it starts, as many descriptors as the
 * system lets them have, but for so many. */
void descriptors_allow_all_but(unsigned n);

#endif
