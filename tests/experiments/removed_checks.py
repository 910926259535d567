#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Removes every check of the verifier in turn, and asks that some test fails each time.

Works on a copy of the sources. The list below is of texts in lib/proof and what they become; one that is
no longer there is an error, so that the list cannot fall behind the code. Takes about half an hour.

Usage: removed_checks.py SOURCE_ROOT [WORDS]    only removals whose names contain the words
       removed_checks.py SOURCE_ROOT --texts    only looks the texts up
"""
import pathlib
import shutil
import subprocess
import sys
import tempfile

TESTS = ["proof-stream", "letters-d2", "merkle", "sumcheck-d2", "lookup-d2", "commit-d2", "masked-d2", "proof-d2", "relations-d2", "proof_tokens-d2", "proof_links-d2", "proof_linked", "hidden-d2", "hidden_links", "certificate-d2", "forms-d2", "field", "proof"]
EXTRA = [["golden", "proof-commit-vectors"]]

# name, file, text, replacement
REMOVALS = [
    ("canonical elements", "stream.c", "canonical &= x[i] < MBI_FIELD_P;", "canonical &= true;"),
    ("bytes left over", "stream.c", "if (mbi_read_left(&r->bytes))", "if (false)"),
    ("bytes missing", "stream.c", 'mbi_refuse(r, "the proof ends too early");', "(void)0;"),
    ("work", "stream.c", "if (nonce && !mbi_work_holds(seed, mbi_load64(nonce), bits))", "if (false)"),
    ("what is read is absorbed", "stream.c", "mbi_transcript_absorb(&r->transcript, tag, p, n);", "(void)tag;"),
    ("root of a tree", "merkle.c", "!memcmp(&s->digest, root, sizeof(*root))", "root"),
    ("path of a tree", "merkle.c", "if (path && !mbi_merkle_verify(root, n, pos, leaf, m, path, count, scratch))",
     "if (false)"),
    ("end of a sum-check", "sumcheck.c", "if (!mbi_ext_equal(end_value(batch, join, point, value), claim))",
     "if (false)"),
    ("claims of a sum-check are absorbed", "sumcheck.c", "absorb_claim(t, &batch->sum[k].claim);", "(void)absorb_claim;"),
    ("product of a lookup", "lookup.c", "if (mbi_ext_is_zero(q))", "if (false)"),
    ("layers of a lookup", "lookup.c", "if (!in->fault && !mbi_ext_equal(joined(end, lambda), claim))",
     "if (false && joined(end, lambda).c[0] == claim.c[0])"),
    ("counts of a lookup", "lookup.c", "end->counts = mbi_ext_sub(limb, p);", "end->counts = mbi_ext_add(limb, p);"),
    ("sum of a lookup", "lookup.c", "struct mbi_ext p = mbi_ext_from(0), q, tree[MBI_LOOKUP_BITS];\n    struct challenge c;",
     "struct mbi_ext p = mbi_ext_from(1), q, tree[MBI_LOOKUP_BITS];\n    struct challenge c;"),
    ("size of a limb", "lookup.c", "mbi_ext_scale(c->gamma, size)", "mbi_ext_scale(c->gamma, size - size)"),
    ("claims of an opening", "open_verify.c", "if (!mbi_ext_equal(sum, v->claim))", "if (false)"),
    ("columns of an opening", "open_verify.c",
     "if (!mbi_ext_equal(row_at(v, mbi_fe_pow(root, v->position[i]), entries), v->sum[i]))",
     "if (false && row_at(v, mbi_fe_pow(root, 0), a.log_columns).c[0])"),
    ("columns of a further layer", "open_verify.c",
     "sum = mbi_ext_add(sum, join_powers(v, &v->joined[i]));", "(void)join_powers;"),
    ("statement of an opening is absorbed", "open.c", "    absorb_statement(t, o);", "    (void)absorb_statement;"),
    ("first claim of an opening", "open.c", "if (!fault && o->n_claims && o->claim[0].joined)", "if (false)"),
    ("block of a claim", "open.c", "if (!fault && c->block >> (mbi_open_bits(o, c->vector) - mbi_claim_bits(c)))",
     "if (false)"),
    ("rows in use of a vector", "open.c", "if (!o->root[i].rows || o->root[i].rows > (uint64_t)1 << log_rows[i])",
     "if (!o->root[i].rows)"),
    ("pads in other rows", "open_masks.c", "other = mbi_ext_mul(other, p->factor);", "other = mbi_ext_from(0);"),
    ("powers behind a hidden row", "open_verify.c", "a->entries >> n ?", "a->entries ?"),
    ("rows of a hidden vector", "open.c", "if (o->code.masks && o->root[i].rows < 2)", "if (false)"),
    ("pads for the rounds", "open.c", "if (o->code.masks && o->code.pads != 2 * MBI_EXT_D * rounds)", "if (false)"),
    ("masks for the queries", "code.c", "if (code->masks ? code->masks <= code->queries : code->pads)", "if (false)"),
    ("seeds of two vectors", "open_prove.c",
     "hidden &= memcmp(&vector[i].seed, &vector[k].seed, sizeof(vector->seed)) != 0;", "(void)0;"),
    ("the part of a box", "walk_open.c",
     "*scale = mbi_ext_mul(*scale, MBI_EXT(eq_index)(z, bits - log, row >> log));", "(void)scale;"),
    ("names in links", "verify.c", "if (!in->fault && !MBI_EXT(proof_is_named)(job, &w.witness.digest))", "if (false)"),
    ("values of links", "walk_sums.c", "        MBI_EXT(walk_links)(w);", "        (void)0;"),
    ("the other half of a link", "link.h", "return p->boundary_bits[side] + 1;", "return p->boundary_bits[side];"),
    ("linear relations", "walk_sums.c", "claim_relation(w, &p->relation[i], &tau);", "(void)claim_relation;"),
    ("relations with products", "walk_sums.c", "check_products(w, i, next, &tau, latest);", "(void)check_products;"),
    ("lengths of plain axes", "walk_letters.c", "n <= all && mbi_index_bits(n)", "mbi_index_bits(n)"),
    ("shapes of terms that are alike", "walk_terms.c", "same = v->n[k] == u->n[k];", "same = v->log[k] == u->log[k];"),
    ("masks", "walk_letters.c", "form_triangle)(at, i.z_bits, letter_at(r, letters, r->small), low, i.below, i.z,",
     "form_triangle)(at, i.z_bits, letter_at(r, letters, r->small), low, i.below / 2, i.z,"),
    ("counted ranges", "walk.c", "        count_ranges(w);", "        (void)count_ranges;"),
    ("counts of ranges are claimed", "walk.c", ": MBI_EXT(walk_claim)(w, end->counts);",
     ": MBI_EXT(walk_claim)(w, mbi_ext_from(0));"),
    ("tokens that are picked", "walk_letters.c", "w->job->token[(size_t)x + (size_t)pick->from]", "w->job->token[(size_t)x]"),
    ("ranges", "walk.c", "check_ranges(w);", "(void)check_ranges;"),
    ("digits below 4", "walk.c", "{&weight[0], 1, four,", "{&weight[0], 0, four,"),
    ("digits below 2", "walk.c", "{&weight[1], 2, two,", "{&weight[1], 0, two,"),
    ("claims about public values", "walk_open.c", "w->side->contradiction(w);", "(void)0;"),
    ("values of tables are claimed", "walk_sums.c",
     "add_end(w, b, i, MBI_EXT(walk_end)(w, value[i], i), &end, mbi_ext_from(1));", "(void)value;"),
    ("values of lists are claimed", "walk_sums.c",
     "        const uint32_t claim = MBI_EXT(walk_end)(w, value[i], i);\n",
     "        const uint32_t claim = MBI_NONE;\n\n        (void)value;"),
    ("members of families have weights of their own", "alike.c", "a->bits, a->member[k]);", "a->bits, 0);"),
    ("digits are claimed", "walk.c",
     "    part.claim = MBI_EXT(walk_end)(w, value, 0);\n    MBI_EXT(walk_part)(w, &part);", "    (void)part;"),
    ("products are taken off their claims", "walk_sums.c",
     "MBI_EXT(walk_take)(w, part->claim, mbi_ext_mul(part->scale, value));", "(void)0;"),
    ("statement is absorbed", "walk.c",
     'mbi_transcript_absorb(t, "statement", job->statement, job->statement_size);', "(void)0;"),
    ("what is 0 in a hidden proof", "walk.c", "(void)MBI_EXT(walk_affine)(w, &w->hidden->zero[i]);", "(void)i;"),
    ("what is 0 in a hidden certificate", "walk_certificate.c", "add_pads(&c, w, &w->hidden->zero[i], false);", "(void)i;"),
    ("pads of a hidden certificate's weights", "walk_certificate.c", "add_pads(c, w, &w->hidden->end[0], true);", "(void)0;"),
    ("end of a hidden sum-check", "sumcheck.c", "MBI_EXT(hidden_zero)(hidden, claims, claim);",
     "MBI_EXT(hidden_zero)(hidden, hidden->n_terms, mbi_ext_from(0));"),
    ("product of a hidden lookup", "lookup.c", "MBI_EXT(hidden_zero)(h, first, known);",
     "MBI_EXT(hidden_zero)(h, h->n_terms, mbi_ext_from(0));"),
    ("points of a hidden product", "lookup.c", "MBI_EXT(hidden_zero)(h, first, mbi_ext_sub(both[i], point[i]));",
     "MBI_EXT(hidden_zero)(h, h->n_terms, mbi_ext_from(0));"),
    ("layers of a hidden lookup", "lookup.c", "MBI_EXT(hidden_zero)(hidden, first, mbi_ext_sub(claim, joined(end, lambda)));",
     "MBI_EXT(hidden_zero)(hidden, hidden->n_terms, mbi_ext_from(0));"),
    ("pads of a line's points", "walk.c", "MBI_EXT(walk_pad)(w, claim, w->hidden->line.m + k, mbi_ext_neg(w->hidden->line.r));", "(void)k;"),
    ("origin of a line", "pads.c", "return !mbi_ext_is_zero(line->r);", "return true;"),
    ("complements of ranges", "relation.c",
     "        mbi_gadget_constant(&g, v.hi);\n        mbi_gadget_view(&g, -1, whole(i));\n        mbi_gadget_view(&g, -1, whole(other));",
     "        (void)whole;"),
    ("relations below 2^62", "relation.c", "if (r->magnitude >= MBI_PLAN_BOUND)", "if (false)"),
    ("u (hi - y) = 0", "gadget.c", "else if (x->u[0] != MBI_NONE)\n        only_at(g, shape, x->u, x->y, q->hi);", "else\n        (void)only_at;"),
    ("v (y - lo) = 0", "gadget.c", "only_at(g, shape, x->v, x->y, q->lo);", "(void)only_at;"),
    ("what is handed on is opened", "walk_open.c",
     "claim += open_boundary(w, (enum mbi_side)side, claim, &forms, &order);", "(void)open_boundary;"),
    ("the link is handed on", "plan.c",
     "mbi_gadget_behind(&g, shape_of(p, t), t->lo, t->hi, mbi_gadget_entry(s->node[link].var));",
     "mbi_gadget_behind(&g, shape_of(p, t), t->lo, t->hi, mbi_gadget_entry(p->n_vars));"),
    ("roots of neighbours", "series.c",
     'if (!same_boundary(j, s))\n        return "it does not begin with what',
     'if (false)\n        return "it does not begin with what'),
    ("the first of a chain", "series.c",
     'return s->boundary[MBI_BEFORE] ? "it does not begin with features" : NULL;', "return NULL;"),
    ("the last of a chain", "series.c", "if (!j->n || j->said.boundary[MBI_BEHIND])", "if (!j->n)"),
    ("output of the statement", "plan.c", "mbi_gadget_linear(&g, -1, p->output);", "mbi_gadget_linear(&g, 0, p->output);"),
]


def run(args, **more):
    return subprocess.run(args, capture_output=True, text=True, **more)


def failing(folder):
    """The first test that fails, or None."""
    if run(["ninja", "-C", folder]).returncode:
        return "the build"
    for name in TESTS:
        if run(["meson", "test", "-C", folder, "--no-rebuild", name]).returncode:
            return name
    for suite, name in EXTRA:
        if run(["meson", "test", "-C", folder, "--no-rebuild", "--suite", suite, name]).returncode:
            return name
    return None


def find(source, name, file, text):
    if source.count(text) != 1:
        sys.exit(f"{name}: the text is {source.count(text)} times in {file}")


def main(root, words):
    status = 0
    for name, file, text, _ in REMOVALS:
        find(pathlib.Path(root, "lib", "proof", file).read_text(), name, file, text)
    if words == "--texts":
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        copy, folder = pathlib.Path(scratch, "source"), pathlib.Path(scratch, "build")
        for name in run(["git", "-C", root, "ls-files"], check=True).stdout.splitlines():
            to = copy / name
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(pathlib.Path(root, name), to)
        run(["meson", "setup", folder, copy, "--buildtype=release", "-Dwerror=false",
             "-Dcuda=disabled"], check=True)
        if not words and (first := failing(folder)):
            sys.exit(f"{first} fails before anything is removed")
        for name, file, text, instead in REMOVALS:
            path = copy / "lib" / "proof" / file
            if words and words not in name:
                continue
            source = path.read_text()
            find(source, name, file, text)
            path.write_text(source.replace(text, instead))
            found = failing(folder)
            print(f"{name}: {'found by ' + found if found else 'NOT FOUND'}", flush=True)
            status |= found in (None, "the build")
            path.write_text(source)
    return status


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3) or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], "".join(sys.argv[2:])))
