/* For the analysis alone: what the core's headers need of it. */
#include "../system.h"
