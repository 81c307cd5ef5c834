/* SPDX-License-Identifier: MIT */
/*
 * What a region is to hold, page by page: tests change both together, keep copies of the model for
 * children, and compare. A page has its word at both ends. Failures end the test.
 */
#ifndef UFORK_HOSTED_TEST_PAGE_MODEL_H
#define UFORK_HOSTED_TEST_PAGE_MODEL_H

#include "plat/hosted/region.h"

#define MODEL_PAGES_MAX 2560u

/* Pages are numbered through all ranges, in their order. */
struct model_range {
  u32 lo, pages;
  enum region_class class;
};

struct page_model {
  u64 want[MODEL_PAGES_MAX]; /* 0 in pages that nobody has written */
  bool mapped[MODEL_PAGES_MAX];
};

extern struct page_model model; /* of the region that is changed */
extern u64 model_turn;          /* told when a test fails */
extern u64 model_holes, model_compared;

/* The model is of r from now on: maps all of the ranges, which stay the caller's. */
void model_begin(struct region *r, const struct model_range *ranges, u32 n);
_Noreturn void model_fail(const char *what, u32 page);
u32 model_offset(u32 page);
void model_map(struct region *r, u32 page, u32 n);
void model_unmap(struct region *r, u32 page, u32 n);
/* Does nothing in a hole. */
void model_write(struct region *r, u32 page, u64 value);
/* Changes n pages from `page` on somehow, or the last n of the first range. */
void model_change(struct region *r, u32 page, u32 n);
/* Maps holes again, each with this probability. There are never many, as in a real program. */
void model_fill_holes(struct region *r, u32 percent);
/* Every page of r, holes included, against m. */
void model_check(struct region *r, const struct page_model *m, const char *who);
/* n pages of the model's region alone; looking at others would map them. */
void model_check_some(struct region *r, u32 page, u32 n, const char *who);

#endif
