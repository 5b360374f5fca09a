/* SPDX-License-Identifier: MIT */
/*
 * Words for clang's thread-safety analysis (-Wthread-safety); nothing for other compilers.
 *
 * R1. A function that needs a lock says FH_REQUIRES(&x->lock), one that takes or gives it back says
 *     FH_ACQUIRE or FH_RELEASE. Parameters are in scope there, in C as well.
 * R2. FH_GUARDED_BY documents a field. In C clang (before 20) cannot resolve a sibling member in an
 *     attribute of a member, so the word is checked only where the guard is visible at file scope
 *     and says nothing inside a struct: the lettered comment beside the field counts.
 */
#ifndef BASE_ANNOTATE_H
#define BASE_ANNOTATE_H

#if defined(__clang__)
#define FH_ANNOTATE(x) __attribute__((x))
#else
#define FH_ANNOTATE(x)
#endif

#define FH_CAPABILITY(name) FH_ANNOTATE(capability(name))
#define FH_REQUIRES(...) FH_ANNOTATE(requires_capability(__VA_ARGS__))
#define FH_EXCLUDES(...) FH_ANNOTATE(locks_excluded(__VA_ARGS__))
#define FH_ACQUIRE(...) FH_ANNOTATE(acquire_capability(__VA_ARGS__))
#define FH_TRY_ACQUIRE(...) FH_ANNOTATE(try_acquire_capability(__VA_ARGS__))
#define FH_RELEASE(...) FH_ANNOTATE(release_capability(__VA_ARGS__))
#define FH_ASSERT_HELD(...) FH_ANNOTATE(assert_capability(__VA_ARGS__))
#define FH_NO_THREAD_SAFETY_ANALYSIS FH_ANNOTATE(no_thread_safety_analysis)
#define FH_GUARDED_BY(x)

/* The build runs under this sanitizer. */
#if defined(__SANITIZE_THREAD__)
#define FH_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FH_TSAN 1
#endif
#endif
#ifndef FH_TSAN
#define FH_TSAN 0
#endif

#endif
