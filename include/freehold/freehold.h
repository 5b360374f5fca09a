/* SPDX-License-Identifier: MIT */
/* The whole of libfreehold, but for what belongs to one kind of host: kvm.h. */
#ifndef FREEHOLD_FREEHOLD_H
#define FREEHOLD_FREEHOLD_H

#include <freehold/base.h>
#include <freehold/bus.h>
#include <freehold/clock.h>
#include <freehold/cached.h>
#include <freehold/device.h>
#include <freehold/dirty.h>
#include <freehold/eventfd.h>
#include <freehold/hooks.h>
#include <freehold/iommu.h>
#include <freehold/listing.h>
#include <freehold/machine.h>
#include <freehold/object.h>
#include <freehold/property.h>
#include <freehold/ram.h>
#include <freehold/region.h>
#include <freehold/space.h>
#include <freehold/state.h>

#endif
