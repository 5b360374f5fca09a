/* SPDX-License-Identifier: MIT */
/*
 * Reading a JSON file that may be anything at all.
 */
#ifndef CLI_MAP_FILE_H
#define CLI_MAP_FILE_H

#include <stddef.h>

#include <jansson.h>

#include <freehold/base.h>

/* The file's value (owned by caller). Errors: NULL, *err says what, but not which file. */
json_t *fh_map_read_json(const char *path, struct fh_error *err);
/* The same of a file's contents. */
json_t *fh_map_parse_json(const char *text, size_t size, struct fh_error *err);

/*
 * Members of an object. @where names the object in messages, as in "regions[3]". Each returns
 * FH_EFORMAT, output untouched, if the member is missing (unless said otherwise) or of another
 * kind.
 */
/* Every key is one of @keys, which ends with NULL. */
enum fh_code fh_map_check_keys(json_t *object, const char *where, const char *const *keys,
			       struct fh_error *err);
/* Borrowed from the object. */
enum fh_code fh_map_get_text(json_t *object, const char *where, const char *key,
			     const char **ret_text, struct fh_error *err);
/* "0x" and 1 to 16 hexadecimal digits. */
enum fh_code fh_map_get_hex(json_t *object, const char *where, const char *key, uint64_t *ret_value,
			    struct fh_error *err);
/* The same, up to 2^64, which is FH_SIZE_ALL. */
enum fh_code fh_map_get_size(json_t *object, const char *where, const char *key, uint64_t *ret_size,
			     struct fh_error *err);
/* A missing one leaves the output as it is. */
enum fh_code fh_map_get_bool(json_t *object, const char *where, const char *key, bool *ret_value,
			     struct fh_error *err);
/* A missing one leaves the output as it is. */
enum fh_code fh_map_get_i32(json_t *object, const char *where, const char *key, int32_t *ret_value,
			    struct fh_error *err);
/* The number of a region, less than @count; null, if @or_null, is FH_MAP_NONE. */
enum fh_code fh_map_get_number(json_t *object, const char *where, const char *key, size_t count,
			       bool or_null, uint32_t *ret_number, struct fh_error *err);
/* A list; a missing one is NULL if @optional. Borrowed from the object. */
enum fh_code fh_map_get_list(json_t *object, const char *where, const char *key, bool optional,
			     json_t **ret_list, struct fh_error *err);

#endif
