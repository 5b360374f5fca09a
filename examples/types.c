/* SPDX-License-Identifier: MIT */
/*
 * Types of one's own: inheritance, properties set by name from text, a link that never dangles.
 */
#include <freehold/freehold.h>

#include <stdio.h>
#include <stdlib.h>

struct drive {
	uint64_t capacity;
	int mode;
	uint32_t speed;
	struct fh_object *mirror;
};

static const char *const modes[] = { "rw", "ro", NULL };

static const struct fh_property drive_properties[] = {
	{ .name = "capacity", .kind = FH_PROPERTY_SIZE, .preset = "64M",
	  .offset = offsetof(struct drive, capacity), .description = "bytes" },
	{ .name = "mode", .kind = FH_PROPERTY_ENUM, .enum_names = modes,
	  .offset = offsetof(struct drive, mode) },
	{ .name = "speed", .kind = FH_PROPERTY_U32, .flags = FH_PROPERTY_LIVE, .preset = "100",
	  .offset = offsetof(struct drive, speed), .description = "MiB/s" },
	{ .name = "mirror", .kind = FH_PROPERTY_LINK, .link_type = &fh_device_type,
	  .offset = offsetof(struct drive, mirror), .description = "where writes go as well" },
	{ 0 },
};

static const struct fh_type drive_type = {
	.name = "drive", .parent = &fh_device_type, .abstract = true,
	.state_size = sizeof(struct drive), .properties = drive_properties
};
static const struct fh_type nvme_type = { .name = "nvme", .parent = &drive_type };

static bool show(const struct fh_type *level, const struct fh_property *property, void *object)
{
	char *text = NULL;

	if (fh_object_get_text((struct fh_object *)object, property->name, &text, NULL) == FH_OK)
		printf("  %s.%s = %s\n", level->name, property->name, text);
	free(text);
	return true;
}

int main(void)
{
	FH_CLEANUP(fh_machine_destroyp) struct fh_machine *m = fh_machine_new(NULL, NULL);

	if (!m)
		return 1;

	struct fh_error err = FH_ERROR_INIT;
	const struct fh_setting spare[] = { { "capacity", "1G" }, { NULL, NULL } };
	const struct fh_setting first[] = { { "mode", "ro" }, { "mirror", "/nvme1" }, { 0 } };

	fh_machine_add_type(m, &nvme_type, NULL);
	struct fh_device *nvme1 = fh_device_plug_named(m, "nvme", "nvme1", spare, &err);
	struct fh_device *nvme0 = fh_device_plug_named(m, "nvme", "nvme0", first, &err);

	if (!nvme0 || !nvme1)
		return fprintf(stderr, "%s\n", err.message), 1;
	fh_type_each_property(&nvme_type, show, nvme0);

	bool good = fh_object_set_u64(nvme0, "speed", 250, NULL) == FH_OK &&
		    fh_object_set_text(nvme0, "mode", "rw", &err) == FH_EPERM;
	printf("%s\n", err.message); /* a device that is realized keeps its mode */

	fh_device_unplug(nvme1);
	const struct drive *drive = fh_object_state(nvme0, &drive_type);

	good = good && drive->speed == 250 && !drive->mirror; /* the link was cleared */
	fh_device_unplug(nvme0);
	fh_machine_drain(m);
	return fh_ledger_print(m, stdout) != 0 || !good;
}
