/* For the analysis alone. */
#include "system.h"
