/* SPDX-License-Identifier: MIT */
/*
 * struct fh_error: what failed, for the person who asked.
 *
 * R1. The first failure wins; a later one changes nothing.
 * R2. The message is always terminated, one line, and valid UTF-8 whatever went into it. It is cut
 *     only between two characters, and then ends in "...".
 */
#include <freehold/base.h>

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/text.h"

const char *fh_code_name(enum fh_code code)
{
	switch (code) {
	case FH_OK: return "FH_OK";
	case FH_ENOMEM: return "FH_ENOMEM";
	case FH_EINVAL: return "FH_EINVAL";
	case FH_ENOENT: return "FH_ENOENT";
	case FH_EEXIST: return "FH_EEXIST";
	case FH_EBUSY: return "FH_EBUSY";
	case FH_ELOOP: return "FH_ELOOP";
	case FH_ERANGE: return "FH_ERANGE";
	case FH_EPERM: return "FH_EPERM";
	case FH_ETYPE: return "FH_ETYPE";
	case FH_EIO: return "FH_EIO";
	case FH_ENOTSUP: return "FH_ENOTSUP";
	case FH_EDEAD: return "FH_EDEAD";
	case FH_EAMBIGUOUS: return "FH_EAMBIGUOUS";
	case FH_EFORMAT: return "FH_EFORMAT";
	case FH_ELIMIT: return "FH_ELIMIT";
	case FH_ECANCELED: return "FH_ECANCELED";
	case FH_EAGAIN: return "FH_EAGAIN";
	}
	return "FH_E?";
}

/* Marks the end of a full buffer as cut (R2). */
static void mark_cut(char *message, size_t size)
{
	static const char dots[] = "...";
	size_t keep = size - sizeof(dots);

	/* A byte 10xxxxxx continues a character: the cut goes before its first byte. */
	while (keep > 0 && ((unsigned char)message[keep] & 0xc0) == 0x80)
		keep--;
	memcpy(message + keep, dots, sizeof(dots));
}

/* As vsnprintf into the whole of message, but keeps R2. */
static void format(char *message, size_t size, const char *fmt, va_list args)
{
	int length = vsnprintf(message, size, fmt, args);

	if (length < 0)
		message[0] = '\0';
	/*
	 * First: so the cut finds characters. The half of one that the end made is under the dots.
	 */
	fh_text_mend(message);
	if (length > 0 && (size_t)length >= size)
		mark_cut(message, size);
}

enum fh_code fh_error_vset(struct fh_error *err, enum fh_code code, const char *fmt, va_list args)
{
	fh_assert(code != FH_OK);
	if (err && err->code == FH_OK) {
		err->code = code;
		format(err->message, sizeof(err->message), fmt, args);
	}
	return code;
}

enum fh_code fh_error_set(struct fh_error *err, enum fh_code code, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fh_error_vset(err, code, fmt, args);
	va_end(args);
	return code;
}

void fh_error_prefix(struct fh_error *err, const char *fmt, ...)
{
	char message[FH_ERROR_MESSAGE_SIZE];
	size_t used;
	size_t room;
	size_t length;
	va_list args;

	if (!err || err->code == FH_OK)
		return;
	va_start(args, fmt);
	format(message, sizeof(message), fmt, args);
	va_end(args);

	used = strlen(message);
	room = sizeof(message) - used;
	length = strlen(err->message);
	if (length < room) {
		memcpy(message + used, err->message, length + 1);
	} else {
		memcpy(message + used, err->message, room);
		mark_cut(message, sizeof(message));
	}
	memcpy(err->message, message, sizeof(message));
}

void fh_error_clear(struct fh_error *err)
{
	if (!err)
		return;
	err->code = FH_OK;
	err->message[0] = '\0';
}
