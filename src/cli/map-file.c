/* SPDX-License-Identifier: MIT */
/*
 * Reading a JSON file that may be anything at all.
 *
 * R1. What a file can make the program allocate is bounded before it is allocated: bytes by the
 *     size of the file, values by a count of what separates them.
 * R2. Every message names the place in the file, either as a line or as a path of keys and
 *     indices.
 */
#include "cli/map-file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <freehold/region.h>

#include "cli/map.h"

/* --- Bytes ---------------------------------------------------------------------------------- */

static enum fh_code read_bytes(int fd, char **ret_text, size_t *ret_size, struct fh_error *err)
{
	size_t size = 0, capacity = (size_t)1 << 16;
	char *text = malloc(capacity);
	enum fh_code code = FH_OK;

	while (text != NULL) {
		if (size > FH_MAP_FILE_LIMIT) {
			code = fh_error_set(err, FH_ELIMIT, "larger than %" PRIu64 " MiB",
					    FH_MAP_FILE_LIMIT >> 20);
			break;
		}
		if (size == capacity) {
			char *const larger = realloc(text, capacity *= 2);

			if (larger == NULL)
				free(text);
			text = larger;
			continue;
		}

		const ssize_t got = read(fd, text + size, capacity - size);

		if (got == 0)
			break;
		if (got > 0) {
			size += (size_t)got;
		} else if (errno != EINTR) {
			code = fh_error_set(err, FH_EIO, "%s", strerror(errno));
			break;
		}
	}
	if (text == NULL)
		return fh_error_set(err, FH_ENOMEM, "not enough memory to read it");
	if (code != FH_OK) {
		free(text);
		return code;
	}
	*ret_text = text;
	*ret_size = size;
	return FH_OK;
}

static enum fh_code read_file(const char *path, char **ret_text, size_t *ret_size,
			      struct fh_error *err)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return fh_error_set(err, FH_EIO, "%s", strerror(errno));

	struct stat status;
	enum fh_code code;

	/* What says its size is not read first to learn that it is too large. */
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
	    (uint64_t)status.st_size > FH_MAP_FILE_LIMIT)
		code = fh_error_set(err, FH_ELIMIT, "larger than %" PRIu64 " MiB",
				    FH_MAP_FILE_LIMIT >> 20);
	else
		code = read_bytes(fd, ret_text, ret_size, err);
	close(fd);
	return code;
}

/* --- JSON ----------------------------------------------------------------------------------- */

/* Every value but the first follows one of these characters; strings only make the count larger. */
static bool has_too_many_values(const char *text, size_t size)
{
	uint64_t count = 0;

	for (size_t i = 0; i < size; i++)
		count += text[i] == ',' || text[i] == '[' || text[i] == '{';
	return count > FH_MAP_VALUE_LIMIT;
}

json_t *fh_map_parse_json(const char *text, size_t size, struct fh_error *err)
{
	if (has_too_many_values(text, size)) {
		fh_error_set(err, FH_ELIMIT, "more than %" PRIu64 " million values",
			     FH_MAP_VALUE_LIMIT >> 20);
		return NULL;
	}

	json_error_t why;
	json_t *const json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);

	if (json == NULL)
		fh_error_set(err, FH_EFORMAT, "line %d, column %d: %s", why.line, why.column,
			     why.text);
	return json;
}

json_t *fh_map_read_json(const char *path, struct fh_error *err)
{
	char *text = NULL;
	size_t size = 0;

	if (read_file(path, &text, &size, err) != FH_OK)
		return NULL;

	json_t *const json = fh_map_parse_json(text, size, err);

	free(text);
	return json;
}

/* --- Members -------------------------------------------------------------------------------- */

enum fh_code fh_map_check_keys(json_t *object, const char *where, const char *const *keys,
			       struct fh_error *err)
{
	if (!json_is_object(object))
		return fh_error_set(err, FH_EFORMAT, "%s: not an object", where);

	const char *key;
	json_t *value;

	json_object_foreach(object, key, value) {
		const char *const *known = keys;

		while (*known != NULL && strcmp(*known, key) != 0)
			known++;
		if (*known == NULL)
			return fh_error_set(err, FH_EFORMAT, "%s: unknown key \"%.40s\"", where,
					    key);
	}
	return FH_OK;
}

static enum fh_code get(json_t *object, const char *where, const char *key, json_t **ret_value,
			struct fh_error *err)
{
	json_t *const value = json_object_get(object, key);

	if (value == NULL)
		return fh_error_set(err, FH_EFORMAT, "%s.%s: missing", where, key);
	*ret_value = value;
	return FH_OK;
}

enum fh_code fh_map_get_text(json_t *object, const char *where, const char *key,
			     const char **ret_text, struct fh_error *err)
{
	json_t *value = NULL;
	const enum fh_code code = get(object, where, key, &value, err);

	if (code != FH_OK)
		return code;
	if (!json_is_string(value))
		return fh_error_set(err, FH_EFORMAT, "%s.%s: not a string", where, key);
	*ret_text = json_string_value(value);
	return FH_OK;
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Leading zeros do not count; *ret_value saturates just above 2^64. */
static bool parse_hex(const char *text, unsigned __int128 *ret_value)
{
	const unsigned __int128 limit = (unsigned __int128)1 << 64;
	unsigned __int128 value = 0;

	if (text[0] != '0' || text[1] != 'x' || text[2] == '\0')
		return false;
	for (text += 2; *text != '\0'; text++) {
		const int digit = digit_value(*text);

		if (digit < 0)
			return false;
		value = value * 16 + (unsigned)digit;
		if (value > limit)
			value = limit + 1;
	}
	*ret_value = value;
	return true;
}

static enum fh_code get_wide(json_t *object, const char *where, const char *key,
			     unsigned __int128 max, unsigned __int128 *ret_value,
			     struct fh_error *err)
{
	const char *text = "";
	const enum fh_code code = fh_map_get_text(object, where, key, &text, err);

	if (code != FH_OK)
		return code;
	if (!parse_hex(text, ret_value))
		return fh_error_set(err, FH_EFORMAT,
				    "%s.%s: \"%.40s\" is not a number in the form \"0x1f\"", where,
				    key, text);
	if (*ret_value > max)
		return fh_error_set(err, FH_ERANGE, "%s.%s: %.40s is too large", where, key, text);
	return FH_OK;
}

enum fh_code fh_map_get_hex(json_t *object, const char *where, const char *key, uint64_t *ret_value,
			    struct fh_error *err)
{
	unsigned __int128 value = 0;
	const enum fh_code code = get_wide(object, where, key, UINT64_MAX, &value, err);

	if (code == FH_OK)
		*ret_value = (uint64_t)value;
	return code;
}

enum fh_code fh_map_get_size(json_t *object, const char *where, const char *key, uint64_t *ret_size,
			     struct fh_error *err)
{
	const unsigned __int128 all = (unsigned __int128)1 << 64;
	unsigned __int128 value = 0;
	const enum fh_code code = get_wide(object, where, key, all, &value, err);

	if (code != FH_OK)
		return code;
	/* The library's word for 2^64 takes the place of the size one below. */
	if (value == FH_SIZE_ALL)
		return fh_error_set(err, FH_ERANGE,
				    "%s.%s: no region can have one byte less than 2^64", where,
				    key);
	*ret_size = value == all ? FH_SIZE_ALL : (uint64_t)value;
	return FH_OK;
}

enum fh_code fh_map_get_bool(json_t *object, const char *where, const char *key, bool *ret_value,
			     struct fh_error *err)
{
	json_t *const value = json_object_get(object, key);

	if (value == NULL)
		return FH_OK;
	if (!json_is_boolean(value))
		return fh_error_set(err, FH_EFORMAT, "%s.%s: not true or false", where, key);
	*ret_value = json_is_true(value);
	return FH_OK;
}

enum fh_code fh_map_get_i32(json_t *object, const char *where, const char *key, int32_t *ret_value,
			    struct fh_error *err)
{
	json_t *const value = json_object_get(object, key);

	if (value == NULL)
		return FH_OK;
	if (!json_is_integer(value))
		return fh_error_set(err, FH_EFORMAT, "%s.%s: not an integer", where, key);

	const json_int_t number = json_integer_value(value);

	if (number < INT32_MIN || number > INT32_MAX)
		return fh_error_set(err, FH_ERANGE,
				    "%s.%s: %" JSON_INTEGER_FORMAT " does not fit in 32 bits",
				    where, key, number);
	*ret_value = (int32_t)number;
	return FH_OK;
}

enum fh_code fh_map_get_number(json_t *object, const char *where, const char *key, size_t count,
			       bool or_null, uint32_t *ret_number, struct fh_error *err)
{
	json_t *value = NULL;
	const enum fh_code code = get(object, where, key, &value, err);

	if (code != FH_OK)
		return code;
	if (or_null && json_is_null(value)) {
		*ret_number = FH_MAP_NONE;
		return FH_OK;
	}
	if (!json_is_integer(value))
		return fh_error_set(err, FH_EFORMAT, "%s.%s: not the number of a region", where,
				    key);

	const json_int_t number = json_integer_value(value);

	if (number < 0 || (uint64_t)number >= count)
		return fh_error_set(err, FH_ERANGE,
				    "%s.%s: there is no region %" JSON_INTEGER_FORMAT, where, key,
				    number);
	*ret_number = (uint32_t)number;
	return FH_OK;
}

enum fh_code fh_map_get_list(json_t *object, const char *where, const char *key, bool optional,
			     json_t **ret_list, struct fh_error *err)
{
	json_t *const value = json_object_get(object, key);

	if (value == NULL && !optional)
		return fh_error_set(err, FH_EFORMAT, "%s.%s: missing", where, key);
	if (value != NULL && !json_is_array(value))
		return fh_error_set(err, FH_EFORMAT, "%s.%s: not a list", where, key);
	*ret_list = value;
	return FH_OK;
}
