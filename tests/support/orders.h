/* SPDX-License-Identifier: MIT */
/* All orders of a few steps, one after the other. */
#ifndef SUPPORT_ORDERS_H
#define SUPPORT_ORDERS_H

#include <stdbool.h>

static inline void orders_begin(int *order, int count)
{
	for (int i = 0; i < count; i++)
		order[i] = i;
}

static inline void orders_swap(int *a, int *b)
{
	const int kept = *a;

	*a = *b;
	*b = kept;
}

/* The next one in lexicographic order; false: that was the last. */
static inline bool orders_next(int *order, int count)
{
	int i = count - 2, j = count - 1;

	while (i >= 0 && order[i] > order[i + 1])
		i--;
	if (i < 0)
		return false;
	while (order[j] < order[i])
		j--;
	orders_swap(&order[i], &order[j]);
	for (int a = i + 1, b = count - 1; a < b; a++, b--)
		orders_swap(&order[a], &order[b]);
	return true;
}

#endif
