/* SPDX-License-Identifier: MIT */
/*
 * Texts that came from somewhere else. See text.h.
 */
#include "base/text.h"

#include <stdint.h>

unsigned fh_text_character(const char *text)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *at = (const unsigned char *)text;
	const unsigned length = at[0] < 0x80	   ? 1 :
				at[0] >> 5 == 0x6  ? 2 :
				at[0] >> 4 == 0xe  ? 3 :
				at[0] >> 3 == 0x1e ? 4 :
						     0;
	uint32_t code = length > 1 ? at[0] & (0x7f >> length) : at[0];

	/* The end of the text is no continuation. */
	for (unsigned i = 1; i < length; i++) {
		if (at[i] >> 6 != 0x2)
			return 0;
		code = code << 6 | (at[i] & 0x3f);
	}
	if (length == 0 || code < least[length] || code > 0x10ffff || code >> 11 == 0x1b)
		return 0; /* 0x1b: surrogates */
	return length;
}

void fh_text_mend(char *text)
{
	while (*text) {
		const unsigned length = fh_text_character(text);

		if (length == 0 || (unsigned char)*text < ' ' || *text == 0x7f)
			*text++ = '?';
		else
			text += length;
	}
}
