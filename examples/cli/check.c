/* SPDX-License-Identifier: Apache-2.0 */
/* check: what a file is, and whether it is whole. */
#include "cli.h"
#include <string.h>

/* Of a proof or a receipt, being whole is not being true. */
static const char *whole(const char *kind)
{
    if (!strcmp(kind, "proof"))
        return "whole, which says nothing of what it claims: 'mambaint verify' checks that";
    if (!strcmp(kind, "receipt"))
        return "whole, which says nothing of what it claims: 'mambaint receipt' runs it again";
    return strcmp(kind, "key") ? "whole" : "whole, and its certificate holds";
}

static int run(struct args *args)
{
    char kind[32] = "unknown", counted[128];
    mambaint_error err = {0};
    const int32_t rc = mambaint_artefact_check(kind, sizeof(kind), NULL, args->operand[0], &err);
    const char *message = rc < 0 ? err.message : whole(kind);
    long long all, left;
    struct json j;

    if (rc >= 0 && !strcmp(kind, "prover-key") && prover_key_left(&all, &left, args->operand[0])) {
        snprintf(counted, sizeof(counted), "whole; %lld of its %lld proofs are left", left, all);
        message = counted;
    }

    if (args_switch(args, "json")) {
        json_open(&j, stdout);
        json_string(&j, "kind", kind);
        json_bool(&j, "ok", rc >= 0);
        json_string(&j, "message", message);
        json_close(&j);
    } else {
        printf("%s: %s, %s\n", args->operand[0], kind, message);
    }
    return rc < 0 ? CLI_FAILED : CLI_DONE;
}

const struct command command_check = {
    .name = "check",
    .summary = "Say what a file is and whether it is whole.",
    .operands = "FILE",
    .min_operands = 1,
    .max_operands = 1,
    .flags = (const struct flag *const[]){flags_json, flags_help, NULL},
    .examples = "  mambaint check storyteller.gguf\n"
                "  mambaint check storyteller.gguf.checkpoint --json\n",
    .run = run,
};
