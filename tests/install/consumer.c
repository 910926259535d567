/* SPDX-License-Identifier: Apache-2.0 */
/* A stranger's program: it sees the installed headers and library through pkg-config alone. */
#include <mambaint/common.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    if (strcmp(mambaint_status_name(MAMBAINT_E_FORMAT), "E_FORMAT") != 0)
        return 1;
    printf("%s\n", mambaint_version());
    return 0;
}
