/* SPDX-License-Identifier: MIT */
/*
 * Texts that came from somewhere else: names, paths, streams.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

/*
 * How many bytes from @text on, which is terminated, are one character of UTF-8, up to U+10FFFF and
 * no surrogate; 0: none.
 */
unsigned fh_text_character(const char *text);

/* Puts '?' in place of each byte that is a control character, or not of UTF-8. */
void fh_text_mend(char *text);

#endif
