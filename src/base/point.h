/* SPDX-License-Identifier: MIT */
/*
 * Named points at which a test can stop a thread, to force one interleaving out of many.
 *
 * In normal builds FH_POINT() is nothing at all. With -DFH_POINTS (only the private library that
 * the tests link is built so) it asks whether somebody wants a thread stopped there; while no point
 * is armed anywhere, that is one relaxed load, which gives ThreadSanitizer no edge that would hide
 * a race.
 *
 * R1. A name is "noun.moment", such as "drain.before-count". Names are not declared anywhere: two
 *     places may share one.
 * R2. An arming stops one thread, once.
 * R3. A thread that is stopped holds whatever it held: sections, locks, domains. If it is never
 *     released, the process ends with a message after two minutes.
 */
#ifndef BASE_POINT_H
#define BASE_POINT_H

#ifdef FH_POINTS

#include <pthread.h>
#include <stdbool.h>

#define FH_POINT(name) fh_point_hit(name)

/* Called by FH_POINT(): stops the calling thread if the point is armed for it. */
void fh_point_hit(const char *name);

/* Arms name: the next thread that comes there stops. Arming it twice stops two threads. */
void fh_point_arm(const char *name);

/* As fh_point_arm, for the n-th arrival (1 is the next); only is a thread whose arrivals alone
 * count (borrowed for the call), NULL for any. */
void fh_point_arm_at(const char *name, unsigned nth, const pthread_t *only);

/* Waits until every arming of name has stopped its thread. False if that took 20 seconds. */
bool fh_point_wait(const char *name);

/* True if a thread is stopped at name at this moment. */
bool fh_point_stopped(const char *name);

/*
 * Lets all go on that are stopped at name; other armings of it stay, so that a test that wants the
 * same thread at its next arrival arms first and releases then. If nobody is stopped, disarms it.
 */
void fh_point_release(const char *name);

/* Releases and disarms everything: for the teardown of a test that failed half way. */
void fh_point_release_all(void);

#else

#define FH_POINT(name) ((void)0)

#endif

#endif
