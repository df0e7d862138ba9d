/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The applets of this build. */
#pragma once

#include "cli.h"

/* Sorted by name, ended by NULL. */
extern const struct cli_applet *const applets[];
