/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The applets of this build. */
#include "applets.h"

#define APPLET(name) extern const struct cli_applet name##_applet;
#include "applets.def"
#undef APPLET

const struct cli_applet *const applets[] = {
#define APPLET(name) &name##_applet,
#include "applets.def"
#undef APPLET
    NULL,
};
