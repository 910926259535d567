/* SPDX-License-Identifier: Apache-2.0 */
/* lib/tokenizer and the import of GPT-2's tokenizer. */
#include "base/intmath.h"
#include "base/utf8.h"
#include "convert/gpt2_tokenizer.h"
#include "support.h"
#include "tokenizer/encode.h"
#include "tokenizer/normalize.h"
#include "tokenizer/pretokenize.h"
#include "tokenizer/spelling.h"
#include "tokenizer/stream.h"
#include "tokenizer/unicode.h"
#include "tokenizer/words.h"
#include <stdlib.h>

#define DATA "data/tokenizer/"

static const char *const udhr[] = {"eng", "rus", "ell_monotonic", "heb", "arb", "hin", "tha",
                                   "kat", "amh", "cmn_hans",      "jpn", "kor", "tam"};

/* ---- what the tests share ---- */

struct text {
    uint8_t *at; /* malloc'd */
    size_t n;
};

static struct text load(const char *name)
{
    FILE *f = test_data_open(name);
    struct text t = {NULL, 0};
    size_t got, cap = 1 << 16;

    t.at = malloc(cap);
    ck_assert(t.at != NULL);
    while ((got = fread(t.at + t.n, 1, cap - t.n, f)) > 0) {
        t.n += got;
        if (t.n == cap) {
            t.at = realloc(t.at, cap *= 2);
            ck_assert(t.at != NULL);
        }
    }
    fclose(f);
    return t;
}

static struct text load_udhr(size_t i)
{
    char name[64];

    snprintf(name, sizeof(name), DATA "udhr/%s.txt", udhr[i]);
    return load(name);
}

static void data_path(char out[TEST_PATH], const char *name)
{
    const char *root = getenv("MBI_TEST_DIR");

    test_path(out, root ? root : "tests", name);
}

/* NULL where this build cannot import. */
static struct mbi_tokenizer *import_gpt2(const struct mbi_host *host)
{
    char encoder[TEST_PATH], merges[TEST_PATH];
    struct mbi_tokenizer *t = NULL;
    mambaint_error err = {0};
    int32_t rc;

    data_path(encoder, DATA "gpt2-encoder.json");
    data_path(merges, DATA "gpt2-vocab.bpe");
    rc = mbi_convert_gpt2(&t, host, encoder, merges, &err);
    if (rc == MAMBAINT_E_UNSUPPORTED)
        return NULL;
    ck_assert_msg(rc == MAMBAINT_OK, "%s", err.message);
    return t;
}

static void encode(struct mbi_buf *out, const struct mbi_tokenizer *t, const void *text, size_t n,
                   uint32_t flags)
{
    mambaint_error err = {0};

    out->size = 0;
    ck_assert_msg(mbi_tokenizer_encode(out, t, text, n, flags, &err) == MAMBAINT_OK, "%s",
                  err.message);
}

static const int32_t *ids_of(const struct mbi_buf *ids) { return (const void *)ids->data; }

static void check_ids(const struct mbi_buf *got, const int32_t *want, size_t n)
{
    ck_assert_uint_eq(got->size, n * sizeof(*want));
    test_same_bytes(got->data, want, got->size);
}

/* decode(encode(text)) = text, and every id is in the vocabulary. */
static void check_round_trip(const struct mbi_tokenizer *t, const struct mbi_host *host,
                             const void *text, size_t n)
{
    struct mbi_buf ids, back;

    mbi_buf_init(&ids, host);
    mbi_buf_init(&back, host);
    encode(&ids, t, text, n, 0);
    ck_assert_int_eq(mbi_tokenizer_decode(&back, t, ids_of(&ids), ids.size / 4, NULL), MAMBAINT_OK);
    ck_assert_uint_eq(back.size, n);
    test_same_bytes(back.data, text, n);
    mbi_buf_free(&ids);
    mbi_buf_free(&back);
}

/*
 * A small tokenizer by parts: 256 bytes, then end of text, four roles, an unused token, and the
 * tokens ab, abc, bc with the merges a b, ab c, b c, a bc. Tests change it before it is built.
 */
#define N_SMALL 265
enum { EOT = 256, SYSTEM, USER, ASSISTANT, END, UNUSED, AB, ABC, BC };

struct small {
    struct mbi_tokenizer_parts parts;
    char byte[256];
    const char *token[N_SMALL];
    size_t len[N_SMALL];
    uint8_t kind[N_SMALL];
    int32_t merge[16];
};

static void small_init(struct small *s)
{
    static const char *const named[] = {"<eot>", "<s>", "<u>", "<u>more", "<end>",
                                        "<un>",  "ab",  "abc", "bc"};
    static const int32_t merge[] = {'a', 'b', AB, 'c', 'b', 'c', 'a', BC};

    memset(s, 0, sizeof(*s));
    for (size_t i = 0; i < N_SMALL; i++) {
        if (i < 256)
            s->byte[i] = (char)i;
        s->token[i] = i < 256 ? &s->byte[i] : named[i - 256];
        s->len[i] = i < 256 ? 1 : strlen(named[i - 256]);
        s->kind[i] = i < 256 || i >= AB ? 1 : i == UNUSED ? 5 : 3;
    }
    memcpy(s->merge, merge, sizeof(merge));
    s->parts = (struct mbi_tokenizer_parts){
        .pre = MBI_PRE_GPT2,
        .vocab = N_SMALL,
        .n_merges = 4,
        .token = s->token,
        .token_len = s->len,
        .kind = s->kind,
        .merge = s->merge,
        .eot = EOT,
        .role = {-1, SYSTEM, USER, ASSISTANT, END},
    };
}

static struct mbi_tokenizer *small_build(const struct small *s, const struct mbi_host *host)
{
    struct mbi_tokenizer *t = NULL;
    mambaint_error err = {0};

    ck_assert_msg(mbi_tokenizer_from_parts(&t, host, &s->parts, &err) == MAMBAINT_OK, "%s",
                  err.message);
    return t;
}

/* ---- Unicode, spelling, pre-tokenizers ---- */

START_TEST(unicode_classes)
{
    static const struct {
        uint32_t code, class;
    } c[] = {
        {0, MBI_CHAR_OTHER},
        {'\t', MBI_CHAR_SPACE},
        {'\r', MBI_CHAR_SPACE},
        {0x0e, MBI_CHAR_OTHER},
        {0x1c, MBI_CHAR_OTHER},
        {' ', MBI_CHAR_SPACE},
        {'/', MBI_CHAR_OTHER},
        {'0', MBI_CHAR_NUMBER},
        {'9', MBI_CHAR_NUMBER},
        {':', MBI_CHAR_OTHER},
        {'@', MBI_CHAR_OTHER},
        {'A', MBI_CHAR_LETTER},
        {'Z', MBI_CHAR_LETTER},
        {'[', MBI_CHAR_OTHER},
        {'`', MBI_CHAR_OTHER},
        {'a', MBI_CHAR_LETTER},
        {'z', MBI_CHAR_LETTER},
        {'{', MBI_CHAR_OTHER},
        {0x7f, MBI_CHAR_OTHER},
        {0x85, MBI_CHAR_SPACE},
        {0xa0, MBI_CHAR_SPACE},
        {0xaa, MBI_CHAR_LETTER},
        {0xb2, MBI_CHAR_NUMBER},
        {0xd7, MBI_CHAR_OTHER},
        {0x301, MBI_CHAR_OTHER},
        {0x663, MBI_CHAR_NUMBER},
        {0x3000, MBI_CHAR_SPACE},
        {0x200b, MBI_CHAR_OTHER},
        {0x4e2d, MBI_CHAR_LETTER},
        {0xac00, MBI_CHAR_LETTER},
        {0xe000, MBI_CHAR_OTHER},
        {0xffff, MBI_CHAR_UNASSIGNED},
        {0x1f600, MBI_CHAR_OTHER},
        {0x2a6df, MBI_CHAR_LETTER},
        {0x2a6e0, MBI_CHAR_UNASSIGNED},
        {0x10fffd, MBI_CHAR_OTHER},
        {0x10ffff, MBI_CHAR_UNASSIGNED},
        {0x110000, MBI_CHAR_UNASSIGNED},
        {UINT32_MAX, MBI_CHAR_UNASSIGNED},
    };

    for (size_t i = 0; i < MBI_COUNT(c); i++)
        ck_assert_msg(mbi_unicode_class(c[i].code) == c[i].class, "U+%04X has class %u",
                      (unsigned)c[i].code, (unsigned)mbi_unicode_class(c[i].code));
}
END_TEST

/* The fast way for ASCII and the table say the same. */
START_TEST(unicode_ascii_equals_the_table)
{
    for (uint32_t code = 0; code < 128; code++) {
        size_t i = 0;

        while (i + 1 < mbi_unicode_table_size && mbi_unicode_table[i + 1] >> 3 <= code)
            i++;
        ck_assert_uint_eq(mbi_unicode_class(code), 1u << (mbi_unicode_table[i] & 7));
    }
    for (size_t i = 1; i < mbi_unicode_table_size; i++)
        ck_assert_uint_gt(mbi_unicode_table[i] >> 3, mbi_unicode_table[i - 1] >> 3);
}
END_TEST

/* Every entry of the table, from both sides, and what lies behind the last code point. */
START_TEST(unicode_ranges)
{
    for (size_t i = 0; i < mbi_unicode_table_size; i++) {
        const uint32_t first = mbi_unicode_table[i] >> 3;
        const uint32_t last =
            i + 1 < mbi_unicode_table_size ? (mbi_unicode_table[i + 1] >> 3) - 1 : 0x10ffff;

        for (int side = 0; side < 2; side++) {
            const struct mbi_char_range range = mbi_unicode_range(side ? last : first);

            ck_assert_uint_eq(range.first, first);
            ck_assert_uint_eq(range.last, last);
            ck_assert_uint_eq(range.class, 1u << (mbi_unicode_table[i] & 7));
        }
    }
    ck_assert_uint_eq(mbi_unicode_range(0x10ffff).last, 0x10ffff);
    ck_assert_uint_eq(mbi_unicode_range(0x110000).class, MBI_CHAR_UNASSIGNED);
    ck_assert_uint_eq(mbi_unicode_range(0x110000).last, UINT32_MAX);
}
END_TEST

/* Each byte has one printable spelling of its own; the published map has Ġ for the space. */
START_TEST(spelling_round_trip)
{
    uint8_t raw[256], back[512];
    char text[512];
    size_t n;

    for (size_t i = 0; i < 256; i++)
        raw[i] = (uint8_t)i;
    n = mbi_spell(text, raw, 256);
    ck_assert_uint_eq(mbi_unspell(back, text, n), 256);
    test_same_bytes(back, raw, 256);
    ck_assert_uint_eq(mbi_spell(text, (const uint8_t *)" \n\xad", 3), 6);
    test_same_bytes(text, "\xc4\xa0\xc4\x8a\xc5\x83", 6); /* U+0120, U+010A, U+0143 */
    ck_assert_uint_eq(mbi_unspell(back, " ", 1), SIZE_MAX);
    ck_assert_uint_eq(mbi_unspell(back, "a\x80", 2), SIZE_MAX);
    ck_assert_uint_eq(mbi_unspell(back, "\xc5\x84", 2), SIZE_MAX); /* U+0144 */
    ck_assert_uint_eq(mbi_unspell(back, "\xc2\xad", 2), SIZE_MAX); /* U+00AD */
    ck_assert_uint_eq(mbi_unspell(back, "\xe4\xb8\xad", 3), SIZE_MAX);
}
END_TEST

/* Pieces are written with a bar between them. */
static void check_pieces(enum mbi_pretokenizer pre, const char *want)
{
    char text[128];
    size_t n = 0, pos = 0;

    for (const char *p = want; *p; p++)
        if (*p != '|')
            text[n++] = *p;
    for (const char *p = want; pos < n;) {
        const size_t len = strcspn(p, "|");

        ck_assert_msg(mbi_pretokenize(pre, text + pos, n - pos) == len, "at %zu of %s", pos, want);
        pos += len;
        p += len + (p[len] == '|');
    }
}

START_TEST(pieces_by_hand)
{
    static const char *const gpt2[] = {
        "It|'s| 12345| o|'|clock",
        "'|S",
        " '|re",
        "'re",
        "'|rx",
        "'",
        "a|  | b",
        "a|   ",
        "\t\t|\t|x",
        "x|\n\n|\n|y",
        "a|\n| \xe4\xb8\xad\xe6\x96\x87|.|5",
        "\xff\xfe|a|\xe4\xb8| ",
        " |\xc2\xa0|x",
    };
    static const char *const cl100k[] = {
        "It|'s| |123|45| o|'clock",
        "'S",
        "'\xc5\xbf|x",
        "'LL|a",
        "'Lx",
        " '|re",
        "a| | b",
        "a|   ",
        "\t\t|\tx",
        "x|\n\n\n|y",
        "x|  \n\n|  | y",
        ".\n\r\n| a",
        " !!\n|a",
        "(ab|)",
        "\n|a",
        "\377a",
        "\xff\xfe|a",
        "\xe4\xb8|a",
    };

    for (size_t i = 0; i < MBI_COUNT(gpt2); i++)
        check_pieces(MBI_PRE_GPT2, gpt2[i]);
    for (size_t i = 0; i < MBI_COUNT(cl100k); i++)
        check_pieces(MBI_PRE_CL100K, cl100k[i]);
}
END_TEST

static size_t from_hex(uint8_t *out, const char *hex)
{
    size_t n = 0;

    for (; hex[2 * n]; n++) {
        const char pair[3] = {hex[2 * n], hex[2 * n + 1], 0};

        out[n] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return n;
}

static void check_lengths(enum mbi_pretokenizer pre, const uint8_t *text, size_t n, char *want)
{
    size_t pos = 0;

    for (char *word = strtok(want, ","); word; word = strtok(NULL, ",")) {
        const size_t len = mbi_pretokenize(pre, (const char *)text + pos, n - pos);

        ck_assert_uint_eq(len, strtoul(word, NULL, 10));
        pos += len;
    }
    ck_assert_uint_eq(pos, n);
}

/* golden/pretokenizer.py: the regular expressions themselves, on 2000 random texts. */
START_TEST(pieces_equal_the_regular_expressions)
{
    FILE *f = test_data_open("golden/pretokenizer.txt");
    char line[1024], hex[512], gpt2[256], cl100k[256];
    uint8_t text[256];
    size_t n_lines = 0;

    while (fgets(line, sizeof(line), f)) {
        if (line[0] == '#')
            continue;
        ck_assert_int_eq(sscanf(line, "%511s %255s %255s", hex, gpt2, cl100k), 3);
        check_lengths(MBI_PRE_GPT2, text, from_hex(text, hex), gpt2);
        check_lengths(MBI_PRE_CL100K, text, from_hex(text, hex), cl100k);
        n_lines++;
    }
    fclose(f);
    ck_assert_uint_eq(n_lines, 2000);
}
END_TEST

/* A text cut where mbi_pretokenize_cut() says has the same pieces as in one. */
START_TEST(cuts_do_not_change_pieces)
{
    static const char letters[] = "ab  'sl\n\t1.-\xe4\xb8\xad\xc2\xa0\xe3\x80\x80\xff";
    struct test_random r;
    size_t n_cuts = 0;

    test_random_init(&r, "cuts_do_not_change_pieces");
    for (int round = 0; round < 20000; round++) {
        const enum mbi_pretokenizer pre = round % 2 ? MBI_PRE_CL100K : MBI_PRE_GPT2;
        const size_t n = 1 + (size_t)test_random_below(&r, 30);
        char text[30];
        bool begins[31] = {false};
        size_t cut;

        for (size_t i = 0; i < n; i++)
            text[i] = letters[test_random_below(&r, sizeof(letters) - 1)];
        for (size_t pos = 0; pos < n; pos += mbi_pretokenize(pre, text + pos, n - pos))
            begins[pos] = true;
        cut = mbi_pretokenize_cut(text, (size_t)test_random_below(&r, n), n);
        if (cut == n)
            continue;
        n_cuts++;
        ck_assert(begins[cut]);
        for (size_t pos = 0; pos < cut; pos += mbi_pretokenize(pre, text + pos, cut - pos))
            ck_assert(begins[pos]);
    }
    ck_assert_uint_gt(n_cuts, 1000);
}
END_TEST

/* ---- encoding ---- */

/* One value of a JSON line; the vectors need no more of the format than this. */
static const char *json_member(const char *line, const char *name)
{
    char mark[32];
    const char *at;

    snprintf(mark, sizeof(mark), "\"%s\":", name);
    ck_assert((at = strstr(line, mark)) != NULL);
    return at + strlen(mark) + strspn(at + strlen(mark), " ");
}

static uint32_t json_unit(const char *digits)
{
    char text[5] = {0};

    memcpy(text, digits, 4);
    return (uint32_t)strtoul(text, NULL, 16);
}

static size_t json_string(uint8_t *out, const char *at)
{
    size_t n = 0;

    for (at++; *at != '"'; at++) {
        static const char from[] = "nrtbf\"\\/", to[] = "\n\r\t\b\f\"\\/";
        uint32_t code;

        if (*at != '\\') {
            out[n++] = (uint8_t)*at;
            continue;
        }
        if (*++at != 'u') {
            ck_assert(strchr(from, *at) != NULL);
            out[n++] = (uint8_t)to[strchr(from, *at) - from];
            continue;
        }
        code = json_unit(at + 1);
        at += 4;
        if (code >= 0xd800 && code < 0xdc00) {
            code = 0x10000 + ((code - 0xd800) << 10) + (json_unit(at + 3) - 0xdc00);
            at += 6;
        }
        n += mbi_utf8_encode(out + n, code);
    }
    return n;
}

static size_t json_ids(int32_t *out, const char *at)
{
    size_t n = 0;
    char *end;

    for (at++; *at != ']'; at = end + strspn(end, ", ")) {
        out[n++] = (int32_t)strtol(at, &end, 10);
        ck_assert(end != at);
    }
    return n;
}

#define END_OF_TEXT "<|endoftext|>"

/*
 * Every line of a file of vectors, each by itself and all in one text with the end of text between
 * them, which is long enough for words to be remembered. Returns how many there were.
 */
static size_t check_vectors(const struct mbi_tokenizer *t, const struct mbi_host *host,
                            const char *name, const char *member, uint32_t flags)
{
    const int32_t end = mbi_tokenizer_eot(t);
    struct text file = load(name);
    struct mbi_buf ids, all, all_ids;
    size_t n_lines = 0;

    file.at = realloc(file.at, file.n + 1);
    ck_assert(file.at != NULL);
    file.at[file.n] = 0;
    mbi_buf_init(&ids, host);
    mbi_buf_init(&all, host);
    mbi_buf_init(&all_ids, host);
    for (char *line = strtok((char *)file.at, "\n"); line; line = strtok(NULL, "\n")) {
        uint8_t text[4096];
        int32_t want[4096];
        const size_t n = json_string(text, json_member(line, "text"));
        const size_t n_want = json_ids(want, json_member(line, member));

        encode(&ids, t, text, n, flags);
        check_ids(&ids, want, n_want);
        if (!flags)
            check_round_trip(t, host, text, n);
        mbi_buf_add(&all, text, n);
        mbi_buf_add_text(&all, END_OF_TEXT);
        mbi_buf_add(&all_ids, want, n_want * sizeof(*want));
        mbi_buf_add(&all_ids, &end, sizeof(end));
        n_lines++;
    }
    encode(&ids, t, all.data, all.size, MBI_ENCODE_SPECIAL);
    check_ids(&ids, ids_of(&all_ids), all_ids.size / sizeof(int32_t));
    mbi_buf_free(&ids);
    mbi_buf_free(&all);
    mbi_buf_free(&all_ids);
    free(file.at);
    return n_lines;
}

START_TEST(gpt2_vectors)
{
    struct test_host h;
    struct mbi_tokenizer *t;

    test_host_init(&h);
    if ((t = import_gpt2(&h.host))) {
        ck_assert_uint_eq(mbi_tokenizer_vocab(t), 50257);
        ck_assert_int_eq(mbi_tokenizer_eot(t), 50256);
        ck_assert_int_eq(mbi_tokenizer_role(t, MBI_ROLE_USER), -1);
        ck_assert_uint_eq(check_vectors(t, &h.host, DATA "gpt2-reference-vectors.jsonl", "ids", 0),
                          47);
        ck_assert_uint_eq(check_vectors(t, &h.host, DATA "bpe-golden-ids.jsonl", "gpt2", 0), 79);
    }
    mbi_tokenizer_unref(t);
    test_host_check(&h);
}
END_TEST

/* ---- GPT-NeoX: see golden/neox_part.py ---- */

#define NEOX_FIRST_BYTE 2u
#define NEOX_FIRST_MERGE 245u
#define NEOX_FIRST_ADDED 50254u
#define NEOX_LONGEST_ADDED 24u
#define NEOX_VOCAB 50277u
#define NEOX_MISSING 13u /* bytes that are not in UTF-8: they get ids behind the others */

/* The bytes in the order of their spellings; those without a token last. */
static void neox_bytes(uint8_t byte[256])
{
    size_t n = 0;

    for (int round = 0; round < 3; round++)
        for (int b = 0; b < 256; b++) {
            const bool never = b == 0xc0 || b == 0xc1 || b >= 0xf5;
            const bool plain = (b > 0x20 && b < 0x7f) || (b > 0xa0 && b != 0xad);

            if (round == (never ? 2 : !plain))
                byte[n++] = (uint8_t)b;
        }
}

/* The next token is what the merge makes. */
static void neox_join(struct mbi_tokenizer_build *b, const uint32_t merge[3])
{
    const uint32_t *const begin = b->t->begin;
    const size_t left = begin[merge[1] + 1] - begin[merge[1]];
    const size_t right = begin[merge[2] + 1] - begin[merge[2]];
    uint8_t bytes[MBI_MAX_TOKEN_BYTES];

    ck_assert_uint_le(left + right, sizeof(bytes));
    memcpy(bytes, b->bytes.data + begin[merge[1]], left);
    memcpy(bytes + left, b->bytes.data + begin[merge[2]], right);
    ck_assert_int_eq(mbi_tokenizer_build_token(b, bytes, left + right, MBI_TOKEN_NORMAL, NULL),
                     MAMBAINT_OK);
}

static void neox_tokens(struct mbi_tokenizer_build *b, const uint32_t (*merge)[3], size_t n)
{
    static const char spaces[] = "                        ";
    size_t next = 0;
    uint8_t byte[256];

    neox_bytes(byte);
    for (uint32_t id = 0; id < NEOX_VOCAB + NEOX_MISSING; id++) {
        const uint32_t missing = NEOX_FIRST_MERGE - NEOX_FIRST_BYTE + id - NEOX_VOCAB;
        char name[24];
        int32_t rc = MAMBAINT_OK;

        snprintf(name, sizeof(name), "<|unused%u|>", id);
        if (id < NEOX_FIRST_BYTE)
            rc = mbi_tokenizer_build_token(b, id ? "<|padding|>" : "<|endoftext|>", id ? 11 : 13,
                                           MBI_TOKEN_CONTROL, NULL);
        else if (id < NEOX_FIRST_MERGE)
            rc = mbi_tokenizer_build_token(b, &byte[id - NEOX_FIRST_BYTE], 1, MBI_TOKEN_NORMAL,
                                           NULL);
        else if (next < n && merge[next][0] == id)
            neox_join(b, merge[next++]);
        else if (id < NEOX_FIRST_ADDED)
            rc = mbi_tokenizer_build_token(b, name, strlen(name), MBI_TOKEN_UNUSED, NULL);
        else if (id < NEOX_VOCAB)
            rc = mbi_tokenizer_build_token(b, spaces, NEOX_LONGEST_ADDED + NEOX_FIRST_ADDED - id,
                                           MBI_TOKEN_CONTROL, NULL);
        else
            rc = mbi_tokenizer_build_token(b, &byte[missing], 1, MBI_TOKEN_NORMAL, NULL);
        ck_assert_int_eq(rc, MAMBAINT_OK);
    }
    ck_assert_uint_eq(next, n);
}

static size_t neox_merges(uint32_t (*merge)[3], size_t cap)
{
    FILE *f = test_data_open(DATA "neox-part.txt");
    char line[256];
    size_t n = 0;

    while (fgets(line, sizeof(line), f))
        if (line[0] != '#') {
            ck_assert_uint_lt(n, cap);
            ck_assert_int_eq(sscanf(line, "%u %u %u", &merge[n][0], &merge[n][1], &merge[n][2]), 3);
            n++;
        }
    fclose(f);
    return n;
}

/*
 * NULL where this build has no normal form. An added token is a control token here, which a text
 * becomes under SPECIAL.
 */
static struct mbi_tokenizer *build_neox(const struct mbi_host *host)
{
    static const int32_t no_role[5] = {-1, -1, -1, -1, -1};
    uint32_t merge[4096][3];
    const size_t n = neox_merges(merge, MBI_COUNT(merge));
    struct mbi_tokenizer_build b;
    struct mbi_tokenizer *t;
    const int32_t rc =
        mbi_tokenizer_build_begin(&b, host, MBI_PRE_GPT2, true, NEOX_VOCAB + NEOX_MISSING, NULL);

    if (rc == MAMBAINT_E_UNSUPPORTED) {
        mbi_tokenizer_build_abort(&b);
        return NULL;
    }
    ck_assert_int_eq(rc, MAMBAINT_OK);
    neox_tokens(&b, (const uint32_t(*)[3])merge, n);
    ck_assert_int_eq(mbi_tokenizer_build_seal(&b, NULL), MAMBAINT_OK);
    for (size_t i = 0; i < n; i++)
        ck_assert_int_eq(
            mbi_tokenizer_build_merge(&b, (int32_t)merge[i][1], (int32_t)merge[i][2], NULL),
            MAMBAINT_OK);
    ck_assert_int_eq(mbi_tokenizer_build_finish(&t, &b, 0, no_role, NULL), MAMBAINT_OK);
    return t;
}

/* With the normal form and the added tokens. */
START_TEST(neox_vectors)
{
    struct test_host h;
    struct mbi_tokenizer *t;

    test_host_init(&h);
    if ((t = build_neox(&h.host)))
        ck_assert_uint_eq(
            check_vectors(t, &h.host, DATA "bpe-golden-ids.jsonl", "neox", MBI_ENCODE_SPECIAL), 79);
    mbi_tokenizer_unref(t);
    test_host_check(&h);
}
END_TEST

START_TEST(gpt2_round_trip)
{
    struct test_host h;
    struct test_random r;
    struct mbi_tokenizer *t;
    uint8_t noise[3000];

    test_host_init(&h);
    test_random_init(&r, "gpt2_round_trip");
    t = import_gpt2(&h.host);
    for (size_t i = 0; t && i < MBI_COUNT(udhr); i++) {
        struct text text = load_udhr(i);

        check_round_trip(t, &h.host, text.at, text.n);
        free(text.at);
    }
    for (int i = 0; t && i < 300; i++) {
        const size_t n = (size_t)test_random_below(&r, sizeof(noise));

        test_random_bytes(&r, noise, n);
        for (size_t k = 0; i % 3 == 1 && k < n; k++)
            noise[k] |= 128; /* much broken UTF-8 */
        for (size_t k = 0; i % 3 == 2 && k < n; k++)
            noise[k] = (uint8_t) "abt \n'7."[noise[k] % 8];
        check_round_trip(t, &h.host, noise, n);
    }
    mbi_tokenizer_unref(t);
    test_host_check(&h);
}
END_TEST

/* Joins the leftmost pair of lowest rank, found by looking at every pair and every merge. */
static size_t encode_naive(int32_t *id, const struct small *s, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        id[i] = (uint8_t)text[i];
    for (;;) {
        size_t best = 0, at = 0;

        for (best = 0; best < s->parts.n_merges; best++) {
            for (at = 0; at + 1 < n; at++)
                if (id[at] == s->merge[2 * best] && id[at + 1] == s->merge[2 * best + 1])
                    break;
            if (at + 1 < n)
                break;
        }
        if (best == s->parts.n_merges)
            return n;
        for (int32_t k = 0; k < N_SMALL; k++) /* the token with the joined bytes */
            if (s->len[k] == s->len[id[at]] + s->len[id[at + 1]] &&
                !memcmp(s->token[k], s->token[id[at]], s->len[id[at]]) &&
                !memcmp(s->token[k] + s->len[id[at]], s->token[id[at + 1]], s->len[id[at + 1]])) {
                id[at] = k;
                break;
            }
        memmove(id + at + 1, id + at + 2, (n - at - 2) * sizeof(*id));
        n--;
    }
}

/* Words on both sides of the length where the method changes, against the definition. */
START_TEST(words_equal_the_definition)
{
    struct test_host h;
    struct test_random r;
    struct small s;
    struct mbi_tokenizer *t;
    struct mbi_buf ids;

    test_host_init(&h);
    test_random_init(&r, "words_equal_the_definition");
    small_init(&s);
    /* One more merge, a a, which overlaps with itself. */
    s.token[UNUSED] = "aa";
    s.len[UNUSED] = 2;
    s.kind[UNUSED] = 1;
    memmove(s.merge + 2, s.merge, 8 * sizeof(*s.merge));
    s.merge[0] = s.merge[1] = 'a';
    s.parts.n_merges = 5;
    t = small_build(&s, &h.host);
    mbi_buf_init(&ids, &h.host);
    for (int i = 0; i < 2000; i++) {
        char text[300];
        int32_t want[300];
        const size_t n = 1 + (size_t)test_random_below(&r, i % 2 ? 80 : 299);

        for (size_t k = 0; k < n; k++)
            text[k] = "abc"[test_random_below(&r, 3)];
        encode(&ids, t, text, n, 0);
        check_ids(&ids, want, encode_naive(want, &s, text, n));
    }
    mbi_buf_free(&ids);
    mbi_tokenizer_unref(t);
    test_host_check(&h);
}
END_TEST

/* The definition for any tokenizer: look at every pair after every merge. */
static size_t encode_plainly(int32_t *id, const struct mbi_tokenizer *t, const uint8_t *text,
                             size_t n)
{
    for (size_t i = 0; i < n; i++)
        id[i] = t->byte[text[i]];
    for (;;) {
        uint32_t best = MBI_RANK_NONE;
        size_t at = 0;

        for (size_t i = 0; i + 1 < n; i++) {
            const uint32_t rank = mbi_rank_map_get(&t->rank, (uint32_t)id[i], (uint32_t)id[i + 1]);

            if (rank < best) {
                best = rank;
                at = i;
            }
        }
        if (best == MBI_RANK_NONE)
            return n;
        id[at] = (int32_t)t->result[best];
        memmove(id + at + 1, id + at + 2, (n - at - 2) * sizeof(*id));
        n--;
    }
}

/* Long words of letters, of tokens and of both, which fall apart where no token reaches. */
START_TEST(long_words_equal_the_definition)
{
    struct test_host h;
    struct test_random r;
    struct mbi_tokenizer *t;
    struct mbi_buf ids;

    test_host_init(&h);
    test_random_init(&r, "long_words_equal_the_definition");
    mbi_buf_init(&ids, &h.host);
    t = import_gpt2(&h.host);
    for (int round = 0; t && round < 300; round++) {
        uint8_t text[600];
        int32_t want[600];
        size_t n = 0;

        while (n < 65 + (size_t)test_random_below(&r, 250)) {
            const uint32_t id = (uint32_t)test_random_below(&r, 50256);
            const uint8_t *const bytes = mbi_token_bytes(t, id);
            const uint32_t len = mbi_token_len(t, id);
            uint32_t letters = 0;

            while (letters < len && mbi_byte_class[bytes[letters]] == MBI_CHAR_LETTER)
                letters++;
            if (round % 3 && letters == len) {
                memcpy(text + n, bytes, len);
                n += len;
            }
            if (round % 3 < 2 && !test_random_below(&r, 4))
                text[n++] = (uint8_t)('a' + test_random_below(&r, 26));
        }
        encode(&ids, t, text, n, 0);
        check_ids(&ids, want, encode_plainly(want, t, text, n));
    }
    mbi_tokenizer_unref(t);
    mbi_buf_free(&ids);
    test_host_check(&h);
}
END_TEST

/* One word of a million letters: quadratic time would not end, and memory stays below 32 n. */
START_TEST(long_words_are_fast_and_small)
{
    enum { N = 1000000 };
    static const char *const pattern[] = {"a", "ab", "=", "\xff", "hello", " ", "\n", "\xcc\x81"};
    struct test_host h;
    struct mbi_tokenizer *t;
    char *text = malloc(N);

    ck_assert(text != NULL);
    test_host_init(&h);
    t = import_gpt2(&h.host);
    for (size_t i = 0; t && i < MBI_COUNT(pattern); i++) {
        const size_t before = atomic_load(&h.bytes);
        struct mbi_buf ids, back;

        for (size_t k = 0; k < N; k++)
            text[k] = pattern[i][k % strlen(pattern[i])];
        mbi_buf_init(&ids, &h.host);
        mbi_buf_init(&back, &h.host);
        atomic_store(&h.peak, before);
        encode(&ids, t, text, N, 0);
        ck_assert_uint_le(atomic_load(&h.peak) - before, 32 * (size_t)N);
        ck_assert_int_eq(mbi_tokenizer_decode(&back, t, ids_of(&ids), ids.size / 4, NULL), 0);
        ck_assert_uint_eq(back.size, N);
        test_same_bytes(back.data, text, N);
        mbi_buf_free(&ids);
        mbi_buf_free(&back);
    }
    mbi_tokenizer_unref(t);
    test_host_check(&h);
    free(text);
}
END_TEST

/*
 * Work, counted, of texts of n and of 4 n bytes that are one word or thousands of them. Linear is 4
 * times; the tree of a long word may have become one level higher, from 4 to 5.
 */
static uint64_t steps_of(const struct mbi_tokenizer *t, const struct mbi_host *host,
                         const uint8_t *text, size_t n)
{
    uint64_t steps = 0;
    struct mbi_buf ids;

    mbi_buf_init(&ids, host);
    ck_assert_int_eq(mbi_tokenizer_encode_counted(&ids, t, (const char *)text, n, 0, &steps, NULL),
                     MAMBAINT_OK);
    mbi_buf_free(&ids);
    return steps;
}

static void check_work(const struct mbi_tokenizer *t, const struct mbi_host *host,
                       const uint8_t *text, const char *name)
{
    const uint64_t one = steps_of(t, host, text, 1 << 16);
    const uint64_t four = steps_of(t, host, text, 1 << 18);

    test_check(4 * four <= 21 * one, "%s: %llu steps, of four times the length %llu", name,
               (unsigned long long)one, (unsigned long long)four);
    test_check(four <= (uint64_t)32 << 18, "%s: %llu steps", name, (unsigned long long)four);
}

START_TEST(work_is_linear_in_the_text)
{
    enum { N = 1 << 18 };
    static const char *const pattern[] = {
        "a",  "ab",       "=",  "\xff", "hello",    " ",
        "\n", "\xcc\x81", "th", "0",    "aaaaaaab", "supercalifragilisticexpialidocious"};
    struct test_host h;
    struct test_random r;
    struct mbi_tokenizer *t;
    uint8_t *text = malloc(N);

    ck_assert(text != NULL);
    test_host_init(&h);
    test_random_init(&r, "work_is_linear_in_the_text");
    t = import_gpt2(&h.host);
    for (size_t i = 0; t && i < MBI_COUNT(pattern); i++) {
        for (size_t k = 0; k < N; k++)
            text[k] = (uint8_t)pattern[i][k % strlen(pattern[i])];
        check_work(t, &h.host, text, pattern[i]);
        for (size_t k = 63; k < N;
             k += 64) /* the longest words for which all pairs are looked at */
            text[k] = i == 7 ? 'x' : '\t';
        check_work(t, &h.host, text, "short words");
    }
    for (size_t letters = 2; t && letters <= 26; letters += 8) {
        for (size_t k = 0; k < N; k++)
            text[k] = (uint8_t) "etaoinshrdlucmfwypvbgkjqxz"[test_random_below(&r, letters)];
        check_work(t, &h.host, text, "random letters");
    }
    mbi_tokenizer_unref(t);
    test_host_check(&h);
    free(text);
}
END_TEST

/*
 * The ids of a text are those of its pieces. Pieces alone are too short for remembering words and
 * for room behind them, so that both ways to encode meet; texts end at every distance from a word.
 */
static void check_pieces_alone(const struct mbi_tokenizer *t, const struct mbi_host *host,
                               const uint8_t *text, size_t n)
{
    struct mbi_buf whole, one, joined;

    mbi_buf_init(&whole, host);
    mbi_buf_init(&one, host);
    mbi_buf_init(&joined, host);
    encode(&whole, t, text, n, 0);
    for (size_t pos = 0, len; pos < n; pos += len) {
        len = mbi_pretokenize(t->pre, (const char *)text + pos, n - pos);
        encode(&one, t, text + pos, len, 0);
        mbi_buf_add(&joined, one.data, one.size);
    }
    check_ids(&whole, ids_of(&joined), joined.size / sizeof(int32_t));
    mbi_buf_free(&whole);
    mbi_buf_free(&one);
    mbi_buf_free(&joined);
}

START_TEST(remembered_words_have_their_ids)
{
    static const char letters[] = "th e\n'\0\xc3\xa9x\3771zqj ";
    struct test_host h;
    struct test_random r;
    struct mbi_tokenizer *t;

    test_host_init(&h);
    test_random_init(&r, "remembered_words_have_their_ids");
    t = import_gpt2(&h.host);
    for (size_t i = 0; t && i < MBI_COUNT(udhr); i++) {
        struct text text = load_udhr(i);

        check_pieces_alone(t, &h.host, text.at, text.n);
        free(text.at);
    }
    for (int i = 0; t && i < 100; i++) {
        /* As it is copied, a read behind the end is one that a sanitizer sees. */
        const size_t n = 900 + (size_t)test_random_below(&r, 4000);
        uint8_t *text = malloc(n);

        ck_assert(text != NULL);
        for (size_t k = 0; k < n; k++) /* few letters: the same words; many: full tables */
            text[k] = (uint8_t)letters[test_random_below(&r, i % 2 ? 4 : sizeof(letters) - 1)];
        check_pieces_alone(t, &h.host, text, n);
        free(text);
    }
    mbi_tokenizer_unref(t);
    test_host_check(&h);
}
END_TEST

static void check_encoding(const struct mbi_tokenizer *t, const struct mbi_host *host,
                           const char *text, uint32_t flags, const int32_t *want, size_t n)
{
    struct mbi_buf ids;

    mbi_buf_init(&ids, host);
    encode(&ids, t, text, strlen(text), flags);
    check_ids(&ids, want, n);
    mbi_buf_free(&ids);
}

#define CHECK_ENCODING(t, host, text, flags, ...)                                                  \
    check_encoding(t, host, text, flags, (const int32_t[]){__VA_ARGS__},                           \
                   MBI_COUNT(((const int32_t[]){__VA_ARGS__})))

/* Nothing in user text is special unless the caller asks; then the longest spelling counts. */
START_TEST(special_spellings)
{
    struct test_host h;
    struct small s;
    struct mbi_tokenizer *t;
    struct mbi_buf text;
    const int32_t ids[] = {EOT, AB, SYSTEM, 'x', UNUSED, END, 0xe4};

    test_host_init(&h);
    small_init(&s);
    t = small_build(&s, &h.host);
    mbi_buf_init(&text, &h.host);
    encode(&text, t, NULL, 0, 0);
    encode(&text, t, NULL, 0, MBI_ENCODE_SPECIAL);
    ck_assert_uint_eq(text.size, 0);
    CHECK_ENCODING(t, &h.host, "<u>", 0, '<', 'u', '>');
    CHECK_ENCODING(t, &h.host, "ab<u>ab", MBI_ENCODE_SPECIAL, AB, USER, AB);
    CHECK_ENCODING(t, &h.host, "<u>more<u>mor<eot><s>", MBI_ENCODE_SPECIAL, ASSISTANT, USER, 'm',
                   'o', 'r', EOT, SYSTEM);
    CHECK_ENCODING(t, &h.host, "<<u>><en<end", MBI_ENCODE_SPECIAL, '<', USER, '>', '<', 'e', 'n',
                   '<', 'e', 'n', 'd');
    CHECK_ENCODING(t, &h.host, "<un>", MBI_ENCODE_SPECIAL, '<', 'u', 'n', '>'); /* unused */
    /* Decoding leaves them out. */
    ck_assert_int_eq(mbi_tokenizer_decode(&text, t, ids, MBI_COUNT(ids), NULL), MAMBAINT_OK);
    ck_assert_uint_eq(text.size, 4);
    test_same_bytes(text.data, "abx\xe4", 4);
    mbi_buf_free(&text);
    mbi_tokenizer_unref(t);
    test_host_check(&h);
}
END_TEST

START_TEST(decode_refuses_foreign_ids)
{
    static const int32_t bad[] = {-1, N_SMALL, INT32_MAX, INT32_MIN};
    struct test_host h;
    struct small s;
    struct mbi_tokenizer *t;
    struct mbi_buf text;

    test_host_init(&h);
    small_init(&s);
    t = small_build(&s, &h.host);
    mbi_buf_init(&text, &h.host);
    mbi_buf_add_text(&text, "kept");
    for (size_t i = 0; i < MBI_COUNT(bad); i++) {
        const int32_t ids[] = {'a', bad[i]};
        const char *token;
        size_t len;
        bool special;

        ck_assert_int_eq(mbi_tokenizer_decode(&text, t, ids, 2, NULL), MAMBAINT_E_RANGE);
        ck_assert(!mbi_tokenizer_token(&token, &len, &special, t, bad[i]));
    }
    ck_assert_uint_eq(text.size, 4);
    mbi_buf_free(&text);
    mbi_tokenizer_unref(t);
    test_host_check(&h);
}
END_TEST

/* ---- normal form C ---- */

static bool build_nfc(struct mbi_tokenizer **out, struct small *s, const struct mbi_host *host)
{
    int32_t rc;

    small_init(s);
    s->parts.nfc = true;
    rc = mbi_tokenizer_from_parts(out, host, &s->parts, NULL);
    ck_assert(rc == MAMBAINT_OK || rc == MAMBAINT_E_UNSUPPORTED);
    return rc == MAMBAINT_OK;
}

/* Rows of text and its form; the third and fourth are broken UTF-8, the last ones Hangul. */
START_TEST(nfc_by_hand)
{
    static const char *const row[][2] = {
        {"abc", "abc"},
        {"e\xcc\x81 \xc3\xa9", "\xc3\xa9 \xc3\xa9"},
        {"e\xcc\x81\377e\xcc\x81\xcc", "\xc3\xa9\xff\xc3\xa9\xcc"},
        {"e\xff\xcc\x81", "e\xff\xcc\x81"},
        {"a\xcc\x81\xcc\xa3", "\xe1\xba\xa1\xcc\x81"}, /* marks change places */
        {"x\xcc\x81\xcc\x88", "x\xcc\x81\xcc\x88"},    /* of one class: they stay in place */
        {"\xe2\x84\xab", "\xc3\x85"},                  /* the Angstrom sign */
        {"e\xcd\xb8\xcc\x81", "e\xcd\xb8\xcc\x81"},    /* U+0378 is not assigned */
        {"\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8", "\xea\xb0\x81"},
        {"\xea\xb0\x80\xe1\x86\xa8", "\xea\xb0\x81"},
    };
    struct test_host h;
    struct small s;
    struct mbi_tokenizer *t;

    test_host_init(&h);
    if (build_nfc(&t, &s, &h.host)) {
        for (size_t i = 0; i < MBI_COUNT(row); i++) {
            struct mbi_buf ids, text;

            mbi_buf_init(&ids, &h.host);
            mbi_buf_init(&text, &h.host);
            encode(&ids, t, row[i][0], strlen(row[i][0]), 0);
            mbi_tokenizer_decode(&text, t, ids_of(&ids), ids.size / 4, NULL);
            ck_assert_uint_eq(text.size, strlen(row[i][1]));
            test_same_bytes(text.data, row[i][1], text.size);
            mbi_buf_free(&ids);
            mbi_buf_free(&text);
        }
    }
    mbi_tokenizer_unref(t);
    test_host_check(&h);
}
END_TEST

/* Marks of two classes in turn: the order they need is the worst case for a simple sort. */
START_TEST(nfc_sorts_many_marks)
{
    enum { N = 200000 };
    struct test_host h;
    struct small s;
    struct mbi_tokenizer *t;
    struct mbi_buf out;
    char *text = malloc(4 * N);

    ck_assert(text != NULL);
    test_host_init(&h);
    if (build_nfc(&t, &s, &h.host)) {
        for (size_t i = 0; i < N; i++)
            memcpy(text + 4 * i, "\xcc\x8f\xcc\xa4", 4); /* classes 230 and 220 */
        mbi_buf_init(&out, &h.host);
        ck_assert_int_eq(mbi_normalize_nfc(&out, text, 4 * N, NULL), MAMBAINT_OK);
        ck_assert_uint_eq(out.size, 4 * N);
        for (size_t i = 0; i < 2 * N; i++)
            ck_assert_uint_eq(out.data[2 * i + 1], i < N ? 0xa4 : 0x8f);
        mbi_buf_free(&out);
    }
    mbi_tokenizer_unref(t);
    test_host_check(&h);
    free(text);
}
END_TEST

/* ---- streaming ---- */

/* Whatever the cut, the pieces are valid UTF-8 and together are the same text. */
START_TEST(stream_gives_whole_characters)
{
    static const char text[] = "a\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80\xff\xe4\xb8z\xf0\x9f";
    static const char want[] = "a\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80\xef\xbf\xbd\xef\xbf\xbd"
                               "\xef\xbf\xbdz\xef\xbf\xbd\xef\xbf\xbd";
    const size_t n = sizeof(text) - 1;
    struct test_random r;

    test_random_init(&r, "stream_gives_whole_characters");
    for (int round = 0; round < 500; round++) {
        struct mbi_stream_text s = {0};
        char out[128];
        size_t size = 0, len;

        for (size_t pos = 0; pos < n;) {
            const size_t step = 1 + (size_t)test_random_below(&r, n - pos);
            size_t need;

            /* One byte too few changes nothing and says how many are needed. */
            if (mbi_stream_text_add(&s, NULL, 0, &need, text + pos, step) == MAMBAINT_OK) {
                ck_assert_uint_eq(need, 0);
            } else {
                ck_assert_int_eq(
                    mbi_stream_text_add(&s, out + size, need - 1, &len, text + pos, step),
                    MAMBAINT_E_SPACE);
                ck_assert_int_eq(mbi_stream_text_add(&s, out + size, need, &len, text + pos, step),
                                 MAMBAINT_OK);
                ck_assert_uint_eq(len, need);
                ck_assert_uint_le(len, MBI_STREAM_MAX(step));
                ck_assert_uint_eq(mbi_utf8_whole((const uint8_t *)out + size, len), len);
                size += len;
            }
            ck_assert_uint_le(s.n_held, 3);
            pos += step;
        }
        ck_assert_int_eq(mbi_stream_text_end(&s, out + size, 5, &len), MAMBAINT_E_SPACE);
        ck_assert_int_eq(mbi_stream_text_end(&s, out + size, 9, &len), MAMBAINT_OK);
        size += len;
        ck_assert_uint_eq(size, sizeof(want) - 1);
        test_same_bytes(out, want, size);
        ck_assert_uint_eq(s.n_held, 0);
    }
}
END_TEST

/* Character by character, the definition. */
static size_t replaced(char *out, const uint8_t *text, size_t n)
{
    size_t len = 0;

    for (size_t pos = 0; pos < n;) {
        uint32_t code;
        const int step = mbi_utf8_decode(&code, text + pos, n - pos);

        memcpy(out + len, step > 0 ? (const char *)text + pos : "\xef\xbf\xbd",
               step > 0 ? (size_t)step : 3);
        len += step > 0 ? (size_t)step : 3;
        pos += step > 0 ? (size_t)step : 1;
    }
    return len;
}

START_TEST(stream_equals_the_definition)
{
    static const uint8_t bytes[] = {'a',  0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xf0,
                                    0x9f, 0x98, 0x80, 0xed, 0xa0, 0xf4, 0xff};
    struct test_random r;

    test_random_init(&r, "stream_equals_the_definition");
    for (int round = 0; round < 20000; round++) {
        struct mbi_stream_text s = {0};
        const size_t n = (size_t)test_random_below(&r, 24);
        uint8_t text[24];
        char want[3 * sizeof(text)], got[3 * sizeof(text) + 9];
        size_t size = 0, len;

        for (size_t i = 0; i < n; i++)
            text[i] = bytes[test_random_below(&r, sizeof(bytes))];
        for (size_t pos = 0, step; pos < n; pos += step) {
            step = (size_t)test_random_below(&r, mbi_min_size(n - pos, 6) + 1);
            ck_assert_int_eq(mbi_stream_text_add(&s, got + size, sizeof(got) - size, &len,
                                                 (const char *)text + pos, step),
                             MAMBAINT_OK);
            size += len;
            ck_assert_uint_le(s.n_held, 3);
        }
        ck_assert_int_eq(mbi_stream_text_end(&s, got + size, sizeof(got) - size, &len), 0);
        size += len;
        ck_assert_uint_eq(size, replaced(want, text, n));
        test_same_bytes(got, want, size);
    }
}
END_TEST

/* ---- what a tokenizer must be ---- */

static void no_change(struct small *s) { (void)s; }
static void too_few(struct small *s) { s->parts.vocab = 256; }
static void too_many(struct small *s) { s->parts.vocab = MBI_MAX_VOCAB + 1; }
static void unknown_pre(struct small *s) { s->parts.pre = (enum mbi_pretokenizer)3; }
static void unknown_kind(struct small *s) { s->kind[AB] = 2; }
static void empty_token(struct small *s) { s->len[AB] = 0; }
static void twice_the_same(struct small *s) { s->token[BC] = "ab"; }
static void special_like_normal(struct small *s) { s->token[SYSTEM] = "ab"; }
static void special_like_spelling(struct small *s) { s->token[SYSTEM] = "\xc4\xa0"; } /* of " " */
static void missing_byte(struct small *s) { s->token['x'] = "xy"; }
static void special_byte(struct small *s) { s->kind['x'] = 3; }
static void special_no_text(struct small *s) { s->token[SYSTEM] = "<\xff>"; }
static void special_control(struct small *s) { s->token[SYSTEM] = "<\n>"; }
static void eot_none(struct small *s) { s->parts.eot = -1; }
static void eot_outside(struct small *s) { s->parts.eot = N_SMALL; }
static void eot_normal(struct small *s) { s->parts.eot = AB; }
static void role_unused(struct small *s) { s->parts.role[MBI_ROLE_USER] = UNUSED; }
static void role_outside(struct small *s) { s->parts.role[MBI_ROLE_END] = INT32_MAX; }
static void role_twice(struct small *s) { s->parts.role[MBI_ROLE_USER] = SYSTEM; }
static void role_is_eot(struct small *s) { s->parts.role[MBI_ROLE_END] = EOT; }
static void merge_outside(struct small *s) { s->merge[0] = N_SMALL; }
static void merge_negative(struct small *s) { s->merge[1] = -1; }
static void merge_special(struct small *s) { s->merge[2] = USER; }
static void merge_makes_nothing(struct small *s) { s->merge[1] = 'z'; }
static void merge_twice(struct small *s) { memcpy(s->merge + 2, s->merge, 2 * sizeof(*s->merge)); }

static void token_too_long(struct small *s)
{
    static const char text[MBI_MAX_TOKEN_BYTES + 1] = {1};

    s->token[UNUSED] = text;
    s->len[UNUSED] = sizeof(text);
    s->kind[UNUSED] = 1;
}

static void merge_makes_special(struct small *s)
{
    s->token[UNUSED] = "cc";
    s->merge[0] = s->merge[1] = 'c';
}

/* Lengths of changed spellings are those of the text. */
static void measure(struct small *s)
{
    for (size_t i = 256; i < N_SMALL; i++)
        if (s->len[i] > 0 && s->len[i] <= MBI_MAX_TOKEN_BYTES)
            s->len[i] = strlen(s->token[i]);
    s->len['x'] = s->token['x'] == &s->byte['x'] ? 1 : strlen(s->token['x']);
}

START_TEST(parts_are_checked)
{
    static const struct {
        void (*change)(struct small *s);
        int32_t want;
    } c[] = {
        {no_change, MAMBAINT_OK},
        {too_few, MAMBAINT_E_RANGE},
        {too_many, MAMBAINT_E_RANGE},
        {unknown_pre, MAMBAINT_E_INVALID},
        {unknown_kind, MAMBAINT_E_FORMAT},
        {empty_token, MAMBAINT_E_FORMAT},
        {token_too_long, MAMBAINT_E_FORMAT},
        {twice_the_same, MAMBAINT_E_FORMAT},
        {special_like_normal, MAMBAINT_E_FORMAT},
        {special_like_spelling, MAMBAINT_E_FORMAT},
        {missing_byte, MAMBAINT_E_FORMAT},
        {special_byte, MAMBAINT_E_FORMAT},
        {special_no_text, MAMBAINT_E_FORMAT},
        {special_control, MAMBAINT_E_FORMAT},
        {eot_none, MAMBAINT_E_FORMAT},
        {eot_outside, MAMBAINT_E_FORMAT},
        {eot_normal, MAMBAINT_E_FORMAT},
        {role_unused, MAMBAINT_E_FORMAT},
        {role_outside, MAMBAINT_E_FORMAT},
        {role_twice, MAMBAINT_E_FORMAT},
        {role_is_eot, MAMBAINT_E_FORMAT},
        {merge_outside, MAMBAINT_E_FORMAT},
        {merge_negative, MAMBAINT_E_FORMAT},
        {merge_special, MAMBAINT_E_FORMAT},
        {merge_makes_nothing, MAMBAINT_E_FORMAT},
        {merge_makes_special, MAMBAINT_E_FORMAT},
        {merge_twice, MAMBAINT_E_FORMAT},
    };
    struct test_host h;

    test_host_init(&h);
    for (size_t i = 0; i < MBI_COUNT(c); i++) {
        struct mbi_tokenizer *t;
        mambaint_error err = {0};
        struct small s;
        int32_t rc;

        small_init(&s);
        c[i].change(&s);
        measure(&s);
        rc = mbi_tokenizer_from_parts(&t, &h.host, &s.parts, &err);
        ck_assert_msg(rc == c[i].want, "case %zu: %d %s", i, rc, err.message);
        ck_assert((rc == MAMBAINT_OK) == (t != NULL));
        ck_assert((rc == MAMBAINT_OK) == (err.message[0] == 0));
        mbi_tokenizer_unref(t);
        test_host_check(&h);
    }
}
END_TEST

static void add_u32(struct mbi_blake2b *b, uint32_t v)
{
    uint8_t bytes[4];

    mbi_store32(bytes, v);
    mbi_blake2b_add_field(b, bytes, 4);
}

/* The digest is what docs/container.md says, written down a second time. */
START_TEST(digest_is_the_documented_one)
{
    struct test_host h;
    struct small s;
    struct mbi_tokenizer *t, *twin;
    struct mbi_blake2b b;
    uint8_t want[MBI_DIGEST_SIZE], got[MBI_DIGEST_SIZE], last[24];
    const int32_t ids[6] = {EOT, -1, SYSTEM, USER, ASSISTANT, END};

    test_host_init(&h);
    small_init(&s);
    t = small_build(&s, &h.host);
    mbi_blake2b_init(&b);
    mbi_blake2b_add_field(&b, "mambaint-tokenizer-1", 20);
    mbi_blake2b_add_field(&b, "gpt-2", 5);
    mbi_blake2b_add_field(&b, "14.0.0", 6);
    mbi_blake2b_add_field(&b, "\0", 1);
    add_u32(&b, N_SMALL);
    for (size_t i = 0; i < N_SMALL; i++) {
        char token[16];

        token[0] = (char)s.kind[i];
        memcpy(token + 1, s.token[i], s.len[i]);
        mbi_blake2b_add_field(&b, token, 1 + s.len[i]);
    }
    add_u32(&b, 4);
    for (size_t i = 0; i < 8; i++) {
        uint8_t id[4];

        mbi_store32(id, (uint32_t)s.merge[i]);
        mbi_blake2b_add(&b, id, 4);
    }
    for (size_t i = 0; i < 6; i++)
        mbi_store32(last + 4 * i, (uint32_t)ids[i]);
    mbi_blake2b_add_field(&b, last, 24);
    mbi_blake2b_end(&b, want);
    mbi_tokenizer_digest(got, t);
    test_same_bytes(got, want, sizeof(want));
    /* Without one role it is another tokenizer. */
    s.parts.role[MBI_ROLE_SYSTEM] = -1;
    twin = small_build(&s, &h.host);
    ck_assert_int_eq(mbi_tokenizer_role(twin, MBI_ROLE_SYSTEM), -1);
    ck_assert_int_eq(mbi_tokenizer_role(twin, MBI_ROLE_USER), USER);
    mbi_tokenizer_digest(want, twin);
    ck_assert_int_ne(memcmp(got, want, sizeof(want)), 0);
    mbi_tokenizer_unref(twin);
    mbi_tokenizer_ref(t);
    mbi_tokenizer_unref(t);
    ck_assert_uint_eq(mbi_tokenizer_vocab(t), N_SMALL);
    mbi_tokenizer_unref(t);
    test_host_check(&h);
}
END_TEST

/* ---- containers ---- */

static int32_t save(struct mbi_buf *out, const struct mbi_host *host, const struct mbi_tokenizer *t)
{
    struct mbi_container_writer *w;
    int32_t rc = mbi_container_writer_create(&w, host, NULL);

    if (rc < 0)
        return rc;
    mbi_container_add_text(w, "general.architecture", "tokenizer", 9);
    mbi_tokenizer_write(w, t);
    rc = mbi_container_save_memory(w, out, NULL);
    mbi_container_writer_free(w);
    return rc;
}

static int32_t open_saved(struct mbi_tokenizer **out, const struct mbi_host *host,
                          const struct mbi_buf *file, mambaint_error *err)
{
    struct mbi_container *c;
    int32_t rc = mbi_container_open_memory(&c, host, file->data, file->size, 0, err);

    *out = NULL;
    if (rc < 0)
        return rc;
    rc = mbi_tokenizer_read(out, host, c, err);
    if (rc >= 0) { /* every key of a tokenizer was read */
        ck_assert_int_eq(mbi_container_refuse_unread(c, "tokenizer.", NULL), MAMBAINT_OK);
        ck_assert_int_eq(mbi_container_refuse_unread(c, "mambaint.role.", NULL), MAMBAINT_OK);
    }
    mbi_container_close(c);
    return rc;
}

static void check_same(const struct mbi_tokenizer *x, const struct mbi_tokenizer *y)
{
    uint8_t dx[MBI_DIGEST_SIZE], dy[MBI_DIGEST_SIZE];

    mbi_tokenizer_digest(dx, x);
    mbi_tokenizer_digest(dy, y);
    test_same_bytes(dx, dy, sizeof(dx));
}

static void check_container(const struct mbi_tokenizer *t, const struct mbi_host *host)
{
    struct mbi_tokenizer *back;
    struct mbi_buf file, again;
    mambaint_error err = {0};

    mbi_buf_init(&file, host);
    mbi_buf_init(&again, host);
    ck_assert_int_eq(save(&file, host, t), MAMBAINT_OK);
    ck_assert_msg(open_saved(&back, host, &file, &err) == MAMBAINT_OK, "%s", err.message);
    check_same(back, t);
    ck_assert_int_eq(save(&again, host, back), MAMBAINT_OK);
    ck_assert_uint_eq(again.size, file.size);
    test_same_bytes(again.data, file.data, file.size);
    mbi_tokenizer_unref(back);
    mbi_buf_free(&file);
    mbi_buf_free(&again);
}

START_TEST(container_round_trip)
{
    struct test_host h;
    struct small s;
    struct mbi_tokenizer *t;

    test_host_init(&h);
    small_init(&s);
    t = small_build(&s, &h.host);
    check_container(t, &h.host);
    mbi_tokenizer_unref(t);
    small_init(&s);
    s.parts.pre = MBI_PRE_CL100K;
    s.parts.n_merges = 0;
    s.parts.role[MBI_ROLE_SYSTEM] = -1;
    t = small_build(&s, &h.host);
    check_container(t, &h.host);
    mbi_tokenizer_unref(t);
    if (build_nfc(&t, &s, &h.host))
        check_container(t, &h.host);
    mbi_tokenizer_unref(t);
    if ((t = import_gpt2(&h.host)))
        check_container(t, &h.host);
    mbi_tokenizer_unref(t);
    test_host_check(&h);
}
END_TEST

/* The keys of a file, each of which a test may spoil. A NULL word leaves its key out. */
struct file {
    const char *model, *pre, *unicode;
    char spelled[256][4];
    const char *token[N_SMALL];
    const char *merge[4];
    uint32_t kind[N_SMALL], n_tokens, n_kinds, n_merges, bos, eos, user;
    bool nfc_is_text;
};

static void file_init(struct file *f)
{
    static const char *const merge[] = {"a b", "ab c", "b c", "a bc"};
    struct small s;

    small_init(&s);
    *f = (struct file){.model = "gpt2",
                       .pre = "gpt-2",
                       .unicode = "14.0.0",
                       .n_tokens = N_SMALL,
                       .n_kinds = N_SMALL,
                       .n_merges = 4,
                       .bos = EOT,
                       .eos = EOT,
                       .user = USER};
    memcpy(f->merge, merge, sizeof(merge));
    for (size_t i = 0; i < N_SMALL; i++) {
        if (i < 256)
            f->spelled[i][mbi_spell(f->spelled[i], (const uint8_t *)s.token[i], 1)] = 0;
        f->token[i] = i < 256 ? f->spelled[i] : s.token[i];
        f->kind[i] = s.kind[i];
    }
}

static void add_word(struct mbi_container_writer *w, const char *key, const char *word)
{
    if (word)
        mbi_container_add_text(w, key, word, strlen(word));
}

static void add_words(struct mbi_container_writer *w, const char *key, const char *const *word,
                      size_t n)
{
    mbi_container_add_array_text(w, key, n);
    for (size_t i = 0; i < n; i++)
        mbi_container_add_array_entry(w, word[i], strlen(word[i]));
}

static int32_t read_file(const struct file *f, const struct mbi_host *host, mambaint_error *err)
{
    struct mbi_container_writer *w;
    struct mbi_tokenizer *t;
    struct mbi_buf bytes;
    int32_t rc;

    mbi_buf_init(&bytes, host);
    ck_assert_int_eq(mbi_container_writer_create(&w, host, NULL), MAMBAINT_OK);
    add_word(w, "general.architecture", "tokenizer");
    add_word(w, "tokenizer.ggml.model", f->model);
    add_word(w, "tokenizer.ggml.pre", f->pre);
    add_words(w, "tokenizer.ggml.tokens", f->token, f->n_tokens);
    mbi_container_add_array_u32(w, "tokenizer.ggml.token_type", f->kind, f->n_kinds);
    add_words(w, "tokenizer.ggml.merges", f->merge, f->n_merges);
    mbi_container_add_u32(w, "tokenizer.ggml.bos_token_id", f->bos);
    mbi_container_add_u32(w, "tokenizer.ggml.eos_token_id", f->eos);
    add_word(w, "mambaint.unicode", f->unicode);
    if (f->nfc_is_text)
        add_word(w, "mambaint.nfc", "false");
    else
        mbi_container_add_bool(w, "mambaint.nfc", false);
    mbi_container_add_u32(w, "mambaint.role.user", f->user);
    ck_assert_int_eq(mbi_container_save_memory(w, &bytes, NULL), MAMBAINT_OK);
    mbi_container_writer_free(w);
    rc = open_saved(&t, host, &bytes, err);
    ck_assert((rc == MAMBAINT_OK) == (t != NULL));
    mbi_tokenizer_unref(t);
    mbi_buf_free(&bytes);
    return rc;
}

static void as_is(struct file *f) { (void)f; }
static void model_other(struct file *f) { f->model = "llama"; }
static void model_missing(struct file *f) { f->model = NULL; }
static void pre_other(struct file *f) { f->pre = "qwen2"; }
static void pre_missing(struct file *f) { f->pre = NULL; }
static void unicode_other(struct file *f) { f->unicode = "15.1.0"; }
static void unicode_missing(struct file *f) { f->unicode = NULL; }
static void nfc_text(struct file *f) { f->nfc_is_text = true; }
static void tokens_none(struct file *f) { f->n_tokens = f->n_kinds = 0; }
static void tokens_few(struct file *f) { f->n_tokens = f->n_kinds = 200; }
static void kinds_few(struct file *f) { f->n_kinds = N_SMALL - 1; }
static void kind_other(struct file *f) { f->kind[AB] = 6; }
static void kind_unknown(struct file *f) { f->kind[AB] = INT32_MAX; }
static void token_no_spelling(struct file *f) { f->token[AB] = "a b"; }
static void token_broken(struct file *f) { f->token[AB] = "a\xc4"; }
static void token_empty(struct file *f) { f->token[AB] = ""; }
static void token_twice(struct file *f) { f->token[BC] = "a"; }
static void byte_missing(struct file *f) { f->token[7] = "zz"; }
static void bos_other(struct file *f) { f->bos = USER; }
static void both_normal(struct file *f) { f->bos = f->eos = 'a'; }
static void both_outside(struct file *f) { f->bos = f->eos = N_SMALL; }
static void user_outside(struct file *f) { f->user = UINT32_MAX; }
static void user_normal(struct file *f) { f->user = AB; }
static void merge_one(struct file *f) { f->merge[0] = "ab"; }
static void merge_three(struct file *f) { f->merge[0] = "a b c"; }
static void merge_unknown(struct file *f) { f->merge[0] = "q r"; }
static void merge_empty(struct file *f) { f->merge[0] = ""; }
static void merge_half(struct file *f) { f->merge[0] = "a "; }
static void merge_again(struct file *f) { f->merge[1] = "a b"; }

START_TEST(hostile_containers_are_refused)
{
    static const struct {
        void (*change)(struct file *f);
        int32_t want;
    } c[] = {
        {as_is, MAMBAINT_OK},
        {model_other, MAMBAINT_E_UNSUPPORTED},
        {model_missing, MAMBAINT_E_FORMAT},
        {pre_other, MAMBAINT_E_UNSUPPORTED},
        {pre_missing, MAMBAINT_E_FORMAT},
        {unicode_other, MAMBAINT_E_VERSION},
        {unicode_missing, MAMBAINT_E_FORMAT},
        {nfc_text, MAMBAINT_E_FORMAT},
        {tokens_none, MAMBAINT_E_RANGE},
        {tokens_few, MAMBAINT_E_RANGE},
        {kinds_few, MAMBAINT_E_FORMAT},
        {kind_other, MAMBAINT_E_FORMAT},
        {kind_unknown, MAMBAINT_E_FORMAT},
        {token_no_spelling, MAMBAINT_E_FORMAT},
        {token_broken, MAMBAINT_E_FORMAT},
        {token_empty, MAMBAINT_E_FORMAT},
        {token_twice, MAMBAINT_E_FORMAT},
        {byte_missing, MAMBAINT_E_FORMAT},
        {bos_other, MAMBAINT_E_FORMAT},
        {both_normal, MAMBAINT_E_FORMAT},
        {both_outside, MAMBAINT_E_RANGE},
        {user_outside, MAMBAINT_E_RANGE},
        {user_normal, MAMBAINT_E_FORMAT},
        {merge_one, MAMBAINT_E_FORMAT},
        {merge_three, MAMBAINT_E_FORMAT},
        {merge_unknown, MAMBAINT_E_FORMAT},
        {merge_empty, MAMBAINT_E_FORMAT},
        {merge_half, MAMBAINT_E_FORMAT},
        {merge_again, MAMBAINT_E_FORMAT},
    };
    struct test_host h;

    test_host_init(&h);
    for (size_t i = 0; i < MBI_COUNT(c); i++) {
        mambaint_error err = {0};
        struct file f;
        int32_t rc;

        file_init(&f);
        c[i].change(&f);
        rc = read_file(&f, &h.host, &err);
        ck_assert_msg(rc == c[i].want, "case %zu: %d %s", i, rc, err.message);
        ck_assert((rc == MAMBAINT_OK) == (err.message[0] == 0));
        test_host_check(&h);
    }
}
END_TEST

/* Random damage behind a right digest: a sentence or a whole tokenizer, never anything else. */
START_TEST(random_damage_is_survived)
{
    struct test_host h;
    struct test_random r;
    uint32_t refused = 0;

    test_host_init(&h);
    test_random_init(&r, "random_damage_is_survived");
    for (int i = 0; i < 400; i++) {
        mambaint_error err = {0};
        struct file f;
        char text[3][12];
        int32_t rc;

        file_init(&f);
        for (size_t k = 0; k < 3; k++) {
            const size_t n = (size_t)test_random_below(&r, sizeof(text[k]));

            for (size_t b = 0; b < n; b++)
                text[k][b] = "ab c\xc4\xa0<\xff"[test_random_below(&r, 8)];
            text[k][n] = 0;
            if (test_random_below(&r, 2))
                f.token[test_random_below(&r, N_SMALL)] = text[k];
            else if (test_random_below(&r, 2))
                f.merge[test_random_below(&r, 4)] = text[k];
            else
                f.kind[test_random_below(&r, N_SMALL)] = (uint32_t)test_random_below(&r, 7);
        }
        rc = read_file(&f, &h.host, &err);
        ck_assert((rc == MAMBAINT_OK) == (err.message[0] == 0));
        ck_assert(rc == MAMBAINT_OK || rc == MAMBAINT_E_FORMAT);
        refused += rc < 0;
        test_host_check(&h);
    }
    ck_assert_uint_gt(refused, 300);
}
END_TEST

/* ---- training ---- */

static struct mbi_tokenizer_trainer *trainer(const struct mbi_host *host, enum mbi_pretokenizer pre)
{
    struct mbi_tokenizer_trainer *tr = NULL;

    ck_assert_int_eq(mbi_tokenizer_trainer_create(&tr, host, pre, NULL), MAMBAINT_OK);
    return tr;
}

static struct mbi_tokenizer *build(struct mbi_tokenizer_trainer *tr, uint32_t vocab)
{
    struct mbi_tokenizer *t = NULL;
    mambaint_error err = {0};

    ck_assert_msg(mbi_tokenizer_trainer_build(&t, tr, vocab, NULL, NULL, &err) == MAMBAINT_OK, "%s",
                  err.message);
    return t;
}

static void check_token(const struct mbi_tokenizer *t, int32_t id, const char *want, size_t len,
                        bool special)
{
    const char *text;
    size_t n;
    bool is_special;

    ck_assert(mbi_tokenizer_token(&text, &n, &is_special, t, id));
    ck_assert_msg(n == len && !memcmp(text, want, n), "token %d is '%.*s'", id, (int)n, text);
    ck_assert(is_special == special);
}

START_TEST(own_vocabularies_have_the_decided_layout)
{
    static const char *const special[] = {"<|endoftext|>", "<|system|>",    "<|user|>",
                                          "<|assistant|>", "<|endofturn|>", "<|unused5|>"};
    struct test_host h;
    struct mbi_tokenizer_trainer *tr;
    struct mbi_tokenizer *t;

    test_host_init(&h);
    tr = trainer(&h.host, MBI_PRE_GPT2);
    ck_assert_int_eq(mbi_tokenizer_trainer_add(tr, "low low lower", 13, NULL), MAMBAINT_OK);
    t = build(tr, 274);
    for (int32_t i = 0; i < 6; i++)
        check_token(t, i, special[i], strlen(special[i]), true);
    check_token(t, 15, "<|unused15|>", 12, true);
    for (int32_t i = 0; i < 256; i++) {
        const char byte = (char)i;

        check_token(t, 16 + i, &byte, 1, false);
    }
    /* l o and o w both occur three times: the pair of smaller ids is first. */
    check_token(t, 272, "lo", 2, false);
    check_token(t, 273, "low", 3, false);
    ck_assert_uint_eq(mbi_tokenizer_vocab(t), 274);
    ck_assert_int_eq(mbi_tokenizer_eot(t), 0);
    for (int i = MBI_ROLE_SYSTEM; i <= MBI_ROLE_END; i++)
        ck_assert_int_eq(mbi_tokenizer_role(t, (enum mbi_role)i), i);
    check_container(t, &h.host);
    mbi_tokenizer_unref(t);
    mbi_tokenizer_trainer_free(tr);
    test_host_check(&h);
}
END_TEST

/* A trainer from the definition alone: count all pairs anew for every merge. */
#define NAIVE_MERGES 120
#define NAIVE_IDS (272 + NAIVE_MERGES)

struct naive {
    int32_t *id; /* symbols of all words, each word closed by -1; malloc'd */
    size_t n;
    uint32_t count[NAIVE_IDS][NAIVE_IDS];
    char bytes[NAIVE_IDS][MBI_MAX_TOKEN_BYTES + 1];
    size_t len[NAIVE_IDS];
};

static void naive_add(struct naive *v, enum mbi_pretokenizer pre, const uint8_t *text, size_t n)
{
    v->id = realloc(v->id, (v->n + 2 * n) * sizeof(*v->id));
    ck_assert(v->id != NULL);
    while (n > 0) {
        const size_t len = mbi_pretokenize(pre, (const char *)text, n);

        for (size_t i = 0; i < len; i++)
            v->id[v->n++] = 16 + text[i];
        v->id[v->n++] = -1;
        text += len;
        n -= len;
    }
}

/* The next merge; false if no pair occurs twice. */
static bool naive_merge(struct naive *v, int32_t made)
{
    uint32_t best = 1;
    int32_t left = -1, right = -1;
    size_t to = 0;

    memset(v->count, 0, sizeof(v->count));
    for (size_t i = 0; i + 1 < v->n; i++)
        if (v->id[i] >= 0 && v->id[i + 1] >= 0)
            v->count[v->id[i]][v->id[i + 1]]++;
    for (int32_t x = 16; x < made; x++)
        for (int32_t y = 16; y < made; y++)
            if (v->count[x][y] > best && v->len[x] + v->len[y] <= MBI_MAX_TOKEN_BYTES) {
                best = v->count[x][y];
                left = x;
                right = y;
            }
    if (left < 0)
        return false;
    for (size_t i = 0; i < v->n; to++) {
        const bool join = i + 1 < v->n && v->id[i] == left && v->id[i + 1] == right;

        v->id[to] = join ? made : v->id[i];
        i += join ? 2 : 1;
    }
    v->n = to;
    memcpy(v->bytes[made], v->bytes[left], v->len[left]);
    memcpy(v->bytes[made] + v->len[left], v->bytes[right], v->len[right]);
    v->len[made] = v->len[left] + v->len[right];
    return true;
}

/* Train both ways on the same text and compare token by token. */
static void check_training(const struct mbi_host *host, enum mbi_pretokenizer pre,
                           const uint8_t *text, size_t n, uint32_t merges)
{
    struct naive *v = calloc(1, sizeof(*v));
    struct mbi_tokenizer_trainer *tr = trainer(host, pre);
    struct mbi_tokenizer *t;
    uint32_t done = 0;

    ck_assert(v != NULL);
    for (size_t i = 0; i < 256; i++) {
        v->bytes[16 + i][0] = (char)i;
        v->len[16 + i] = 1;
    }
    naive_add(v, pre, text, n);
    ck_assert_int_eq(mbi_tokenizer_trainer_add(tr, (const char *)text, n, NULL), MAMBAINT_OK);
    while (done < merges && naive_merge(v, (int32_t)(272 + done)))
        done++;
    if (done < merges) {
        mambaint_error err = {0};
        char count[32];

        snprintf(count, sizeof(count), "allows %u merges", done);
        ck_assert_int_eq(mbi_tokenizer_trainer_build(&t, tr, 272 + merges, NULL, NULL, &err),
                         MAMBAINT_E_RANGE);
        ck_assert_msg(strstr(err.message, count) != NULL, "%s, not %s", err.message, count);
    }
    t = build(tr, 272 + done); /* also after a build that failed */
    for (uint32_t i = 0; i < done; i++)
        check_token(t, (int32_t)(272 + i), v->bytes[272 + i], v->len[272 + i], false);
    check_round_trip(t, host, text, n);
    mbi_tokenizer_unref(t);
    mbi_tokenizer_trainer_free(tr);
    free(v->id);
    free(v);
}

START_TEST(training_equals_the_definition)
{
    struct test_host h;
    struct test_random r;
    uint8_t noise[400];

    test_host_init(&h);
    test_random_init(&r, "training_equals_the_definition");
    for (size_t i = 0; i < MBI_COUNT(udhr); i += 3) {
        struct text text = load_udhr(i);

        check_training(&h.host, i % 2 ? MBI_PRE_CL100K : MBI_PRE_GPT2, text.at, text.n,
                       NAIVE_MERGES);
        free(text.at);
    }
    /* Few letters: runs that overlap, ties, and texts that run out of pairs. */
    for (int i = 0; i < 60; i++) {
        const size_t n = (size_t)test_random_below(&r, sizeof(noise));
        const size_t letters = 1 + (size_t)test_random_below(&r, 4);

        for (size_t k = 0; k < n; k++)
            noise[k] =
                (uint8_t)(test_random_below(&r, 20) ? "aabc"[test_random_below(&r, letters)] : ' ');
        check_training(&h.host, MBI_PRE_GPT2, noise, n, 20);
    }
    test_host_check(&h);
}
END_TEST

/* A token never outgrows MBI_MAX_TOKEN_BYTES, however long the word. */
START_TEST(training_limits_the_length_of_tokens)
{
    enum { N = 100000 };
    struct test_host h;
    uint8_t *text = malloc(N);

    ck_assert(text != NULL);
    memset(text, 'a', N);
    test_host_init(&h);
    check_training(&h.host, MBI_PRE_GPT2, text, N, 9); /* 2, 4, ..., 256 bytes, and then no more */
    test_host_check(&h);
    free(text);
}
END_TEST

/* The same vocabulary for 1, 2 and 4 threads, either order of documents, either cut. */
START_TEST(training_is_deterministic)
{
    uint8_t first[MBI_DIGEST_SIZE], digest[MBI_DIGEST_SIZE];
    struct text text[MBI_COUNT(udhr)];

    for (size_t i = 0; i < MBI_COUNT(udhr); i++)
        text[i] = load_udhr(i);
    for (uint32_t threads = 1; threads <= 4; threads *= 2) {
        struct test_host h;
        struct mbi_tokenizer_trainer *tr;
        struct mbi_tokenizer *t;

        test_host_init(&h);
        ck_assert_int_eq(mbi_pool_create(&h.host.pool, &h.host, threads, NULL), MAMBAINT_OK);
        tr = trainer(&h.host, MBI_PRE_CL100K);
        for (size_t i = 0; i < MBI_COUNT(udhr); i++) {
            const struct text *x = &text[threads == 2 ? MBI_COUNT(udhr) - 1 - i : i];

            ck_assert_int_eq(mbi_tokenizer_trainer_add(tr, (const char *)x->at, x->n, NULL), 0);
        }
        t = build(tr, 2000);
        mbi_tokenizer_digest(threads == 1 ? first : digest, t);
        if (threads > 1)
            test_same_bytes(digest, first, sizeof(first));
        mbi_tokenizer_unref(t);
        mbi_tokenizer_trainer_free(tr);
        mbi_pool_free(&h.host, h.host.pool);
        test_host_check(&h);
    }
    for (size_t i = 0; i < MBI_COUNT(udhr); i++)
        free(text[i].at);
}
END_TEST

/*
 * Documents that wait for others and such as are cut among the threads: the same vocabulary, also
 * when more text comes behind a vocabulary that was made.
 */
START_TEST(training_shares_long_texts)
{
    enum { N = 5 << 20 };
    uint8_t first[MBI_DIGEST_SIZE], digest[MBI_DIGEST_SIZE];
    struct test_random r;
    uint8_t *text = malloc(N);

    ck_assert(text != NULL);
    test_random_init(&r, "training_shares_long_texts");
    for (size_t i = 0; i < N; i++) /* the more of a letter, the further in front */
        text[i] =
            (uint8_t) "e ta'\nsol1.\xc3"[test_random_below(&r, 1 + test_random_below(&r, 12))];
    for (uint32_t threads = 1; threads <= 3; threads++) {
        struct test_host h;
        struct mbi_tokenizer_trainer *tr;
        struct mbi_tokenizer *t;

        test_host_init(&h);
        ck_assert_int_eq(mbi_pool_create(&h.host.pool, &h.host, threads, NULL), MAMBAINT_OK);
        tr = trainer(&h.host, MBI_PRE_GPT2);
        ck_assert_int_eq(mbi_tokenizer_trainer_add(tr, (const char *)text, N, NULL), MAMBAINT_OK);
        mbi_tokenizer_unref(build(tr, 300));
        for (size_t pos = 0, len; pos < N; pos += len) {
            len = mbi_min_size(N - pos, 1 << (pos >> 18));
            ck_assert_int_eq(mbi_tokenizer_trainer_add(tr, (const char *)text + pos, len, NULL), 0);
        }
        t = build(tr, 1000);
        mbi_tokenizer_digest(threads == 1 ? first : digest, t);
        if (threads > 1)
            test_same_bytes(digest, first, sizeof(first));
        mbi_tokenizer_unref(t);
        mbi_tokenizer_trainer_free(tr);
        mbi_pool_free(&h.host, h.host.pool);
        test_host_check(&h);
    }
    free(text);
}
END_TEST

static void count_progress(void *user, uint32_t done, uint32_t of)
{
    uint32_t *const last = user;

    ck_assert_uint_ge(done, *last);
    ck_assert_uint_eq(of, 200);
    *last = done;
}

START_TEST(training_reports_and_refuses)
{
    struct test_host h;
    struct mbi_tokenizer_trainer *tr;
    struct mbi_tokenizer *t;
    struct text text = load_udhr(0);
    uint32_t done = 0;

    test_host_init(&h);
    ck_assert_int_eq(mbi_tokenizer_trainer_create(&tr, &h.host, (enum mbi_pretokenizer)0, NULL),
                     MAMBAINT_E_INVALID);
    tr = trainer(&h.host, MBI_PRE_GPT2);
    ck_assert_int_eq(mbi_tokenizer_trainer_build(&t, tr, 271, NULL, NULL, NULL), MAMBAINT_E_RANGE);
    ck_assert_int_eq(mbi_tokenizer_trainer_build(&t, tr, MBI_MAX_VOCAB + 1, NULL, NULL, NULL),
                     MAMBAINT_E_RANGE);
    ck_assert_int_eq(mbi_tokenizer_trainer_build(&t, tr, 273, NULL, NULL, NULL), MAMBAINT_E_RANGE);
    ck_assert(t == NULL);
    t = build(tr, 272); /* no text is enough for no merge */
    check_round_trip(t, &h.host, text.at, text.n);
    mbi_tokenizer_unref(t);
    mbi_tokenizer_trainer_add(tr, (const char *)text.at, text.n, NULL);
    ck_assert_int_eq(mbi_tokenizer_trainer_build(&t, tr, 472, count_progress, &done, NULL), 0);
    ck_assert_uint_eq(done, 200);
    mbi_tokenizer_unref(t);
    mbi_tokenizer_trainer_free(tr);
    free(text.at);
    test_host_check(&h);
}
END_TEST

/* The counted words are those that were given, whatever their order and length. */
START_TEST(words_are_counted)
{
    enum { ROUNDS = 20000 };
    struct test_host h;
    struct test_random r;
    struct mbi_words w;
    uint32_t *count = calloc(1 << 16, sizeof(*count)); /* by length and bits of a word */
    uint64_t total = 0;

    ck_assert(count != NULL);
    test_host_init(&h);
    test_random_init(&r, "words_are_counted");
    ck_assert(mbi_words_init(&w, &h.host));
    for (int i = 0; i < ROUNDS; i++) {
        const size_t len = 1 + (size_t)test_random_below(&r, 11);
        const size_t bits = (size_t)test_random_below(&r, (uint64_t)1 << len);
        uint8_t word[64] = {0};

        for (size_t k = 0; k < len; k++)
            word[k] = bits >> k & 1 ? 0xff : 0;
        /* Some longer than what the table of recent words takes. */
        ck_assert(mbi_words_add(&w, word, i % 2 ? len : len + 40, sizeof(word), 1));
        count[(i % 2 ? 0 : 1 << 15) | len << 11 | bits]++;
    }
    for (uint32_t i = 0; i < w.n; i++) {
        const uint8_t *const bytes = mbi_word_bytes(&w, i);
        const size_t len = w.word[i].len > 40 ? w.word[i].len - 40 : w.word[i].len;
        size_t bits = 0;

        for (size_t k = 0; k < len; k++)
            bits |= (size_t)(bytes[k] & 1) << k;
        ck_assert_uint_eq(w.word[i].count,
                          count[(w.word[i].len > 40 ? 1 << 15 : 0) | len << 11 | bits]);
        total += w.word[i].count;
    }
    ck_assert_uint_eq(total, ROUNDS);
    mbi_words_free(&w);
    free(count);
    test_host_check(&h);
}
END_TEST

/* ---- the importer ---- */

static int32_t import_text(const char *encoder, const char *merges, mambaint_error *err)
{
    char dir[TEST_PATH], json[TEST_PATH], bpe[TEST_PATH];
    struct test_host h;
    struct mbi_tokenizer *t;
    int32_t rc;

    test_host_init(&h);
    test_dir_make(dir);
    test_path(json, dir, "encoder.json");
    test_path(bpe, dir, "vocab.bpe");
    test_file_write(json, encoder, strlen(encoder));
    test_file_write(bpe, merges, strlen(merges));
    rc = mbi_convert_gpt2(&t, &h.host, json, bpe, err);
    ck_assert((rc == MAMBAINT_OK) == (t != NULL));
    mbi_tokenizer_unref(t);
    test_dir_remove(dir);
    test_host_check(&h);
    return rc;
}

/* An encoder.json of the bytes, `more`, and an end of text with the last id. */
static void write_encoder(char *out, size_t cap, const char *more)
{
    size_t n = (size_t)snprintf(out, cap, "{");

    for (size_t i = 0; i < 256; i++) {
        const uint8_t byte = (uint8_t)i;
        char text[4] = {0};

        text[mbi_spell(text, &byte, 1)] = 0;
        n += (size_t)snprintf(out + n, cap - n, "\"%s%s\": %zu, ",
                              i == '"' || i == '\\' ? "\\" : "", text, i);
    }
    snprintf(out + n, cap - n, "\"ab\": 256, %s}", more);
}

START_TEST(import_refuses_damage)
{
    static const struct {
        const char *more, *merges;
        int32_t want;
    } c[] = {
        {"\"<|endoftext|>\": 257", "#version: 0.2\na b\n", MAMBAINT_OK},
        {"\"<|endoftext|>\": 257", "a b", MAMBAINT_OK},
        {"\"<|endoftext|>\": 257", "\r\na b\r\n\n", MAMBAINT_OK},
        {"\"<|endoftext|>\": 257", "a b\n#version: 0.2\n", MAMBAINT_E_FORMAT},
        {"\"<|endoftext|>\": 257", "a b\na b\n", MAMBAINT_E_FORMAT},
        {"\"<|endoftext|>\": 257", "a c\n", MAMBAINT_E_FORMAT},
        {"\"<|endoftext|>\": 257", "ab\n", MAMBAINT_E_FORMAT},
        {"\"<|endoftext|>\": 258", "", MAMBAINT_E_FORMAT},
        {"\"<|endoftext|>\": 256", "", MAMBAINT_E_FORMAT},
        {"\"<|endoftext|>\": -1", "", MAMBAINT_E_FORMAT},
        {"\"<|endoftext|>\": 257.0", "", MAMBAINT_E_FORMAT},
        {"\"<|endoftext|>\": \"257\"", "", MAMBAINT_E_FORMAT},
        {"\"endoftext\": 257", "", MAMBAINT_E_FORMAT},
        {"\"ab\": 257", "", MAMBAINT_E_FORMAT},
        {"\"<|endoftext|>\": 257, \"a b\": 258", "", MAMBAINT_E_FORMAT},
        {"\"<|endoftext|>\": 257", "\xff \xfe\n", MAMBAINT_E_FORMAT},
        {"\"<|endoftext|>\": 257", " \n", MAMBAINT_E_FORMAT},
        {"\"<|endoftext|>\": 18446744073709551616", "", MAMBAINT_E_FORMAT},
        {"\"<|endoftext|>\\u0000\": 257", "", MAMBAINT_E_FORMAT},
        {"\"\xff\": 257", "", MAMBAINT_E_FORMAT},
    };

    for (size_t i = 0; i < MBI_COUNT(c); i++) {
        mambaint_error err = {0};
        char encoder[8192];
        int32_t rc;

        write_encoder(encoder, sizeof(encoder), c[i].more);
        rc = import_text(encoder, c[i].merges, &err);
        if (rc == MAMBAINT_E_UNSUPPORTED)
            return;
        ck_assert_msg(rc == c[i].want, "case %zu: %d %s", i, rc, err.message);
        ck_assert((rc == MAMBAINT_OK) == (err.message[0] == 0));
    }
    ck_assert_int_eq(import_text("", "", NULL), MAMBAINT_E_FORMAT);
    ck_assert_int_eq(import_text("[]", "", NULL), MAMBAINT_E_FORMAT);
    ck_assert_int_eq(import_text("{}", "", NULL), MAMBAINT_E_RANGE);
    ck_assert_int_eq(import_text("{\"a\": 0", "", NULL), MAMBAINT_E_FORMAT);
}
END_TEST

/* Deep nesting is refused before a parser that recurses sees it. */
START_TEST(import_refuses_deep_nesting)
{
    enum { DEPTH = 1000000 };
    char *text = malloc(DEPTH + 1);
    mambaint_error err = {0};
    int32_t rc;

    ck_assert(text != NULL);
    memset(text, '[', DEPTH);
    text[DEPTH] = 0;
    rc = import_text(text, "", &err);
    ck_assert(rc == MAMBAINT_E_FORMAT || rc == MAMBAINT_E_UNSUPPORTED);
    ck_assert(rc == MAMBAINT_E_UNSUPPORTED || strstr(err.message, "deeper") != NULL);
    free(text);
}
END_TEST

START_TEST(import_names_a_missing_file)
{
    struct test_host h;
    struct mbi_tokenizer *t;
    mambaint_error err = {0};
    const int32_t rc = (test_host_init(&h), mbi_convert_gpt2(&t, &h.host, "no-such-file.json",
                                                             "no-such-file.bpe", &err));

    ck_assert(rc == MAMBAINT_E_IO || rc == MAMBAINT_E_UNSUPPORTED);
    ck_assert(strstr(err.message, "no-such-file.json") != NULL);
    test_host_check(&h);
}
END_TEST

/* ---- refused memory ---- */

/* Both kinds of words, special tokens, and NFC where there is NFC; the bytes must be the same. */
static int32_t scenario_encode(const struct mbi_host *host, void *arg)
{
    const struct mbi_tokenizer *t = arg;
    char text[400];
    struct mbi_buf ids, back;
    int32_t rc;

    memset(text, 'a', sizeof(text));
    memcpy(text, "<u>e\xcc\x81 ", 7);
    mbi_buf_init(&ids, host);
    mbi_buf_init(&back, host);
    rc = mbi_tokenizer_encode(&ids, t, text, sizeof(text), MBI_ENCODE_SPECIAL, NULL);
    if (rc == MAMBAINT_OK) {
        ck_assert_int_eq(ids_of(&ids)[0], USER);
        rc = mbi_tokenizer_decode(&back, t, ids_of(&ids), ids.size / 4, NULL);
    }
    ck_assert(rc == MAMBAINT_OK || ids.size == 0 || back.size == 0);
    ck_assert(rc < 0 || back.size >= sizeof(text) - 4);
    mbi_buf_free(&ids);
    mbi_buf_free(&back);
    return rc;
}

static int32_t scenario_parts(const struct mbi_host *host, void *arg)
{
    struct mbi_tokenizer *t;
    const int32_t rc = mbi_tokenizer_from_parts(&t, host, arg, NULL);

    mbi_tokenizer_unref(t);
    return rc;
}

static int32_t scenario_read(const struct mbi_host *host, void *arg)
{
    struct mbi_tokenizer *t;
    const int32_t rc = open_saved(&t, host, arg, NULL);

    mbi_tokenizer_unref(t);
    return rc;
}

static int32_t scenario_train(const struct mbi_host *host, void *arg)
{
    const struct text *text = arg;
    struct mbi_tokenizer_trainer *tr;
    struct mbi_tokenizer *t = NULL;
    int32_t rc = mbi_tokenizer_trainer_create(&tr, host, MBI_PRE_GPT2, NULL);

    if (rc >= 0 && (rc = mbi_tokenizer_trainer_add(tr, (const char *)text->at, text->n, NULL)) >= 0)
        rc = mbi_tokenizer_trainer_build(&t, tr, 400, NULL, NULL, NULL);
    mbi_tokenizer_unref(t);
    mbi_tokenizer_trainer_free(tr);
    return rc;
}

static int32_t scenario_import(const struct mbi_host *host, void *arg)
{
    const char *const *path = arg;
    struct mbi_tokenizer *t;
    const int32_t rc = mbi_convert_gpt2(&t, host, path[0], path[1], NULL);

    mbi_tokenizer_unref(t);
    return rc == MAMBAINT_E_UNSUPPORTED ? MAMBAINT_OK : rc;
}

START_TEST(out_of_memory_leaves_nothing)
{
    struct test_host h;
    struct small s;
    struct mbi_tokenizer *t;
    struct mbi_buf file;
    struct text text = load_udhr(7); /* many different pairs */
    char encoder[8192], dir[TEST_PATH], json[TEST_PATH], bpe[TEST_PATH];
    const char *path[2] = {json, bpe};

    test_host_init(&h);
    small_init(&s);
    ck_assert_uint_gt(test_refuse_each(scenario_parts, &s.parts), 5);
    t = small_build(&s, &h.host);
    ck_assert_uint_gt(test_refuse_each(scenario_encode, t), 2);
    mbi_buf_init(&file, &h.host);
    ck_assert_int_eq(save(&file, &h.host, t), MAMBAINT_OK);
    ck_assert_uint_gt(test_refuse_each(scenario_read, &file), 5);
    mbi_buf_free(&file);
    mbi_tokenizer_unref(t);
    if (build_nfc(&t, &s, &h.host))
        ck_assert_uint_gt(test_refuse_each(scenario_encode, t), 4);
    mbi_tokenizer_unref(t);
    ck_assert_uint_gt(test_refuse_each(scenario_train, &text), 10);
    test_dir_make(dir);
    test_path(json, dir, "encoder.json");
    test_path(bpe, dir, "vocab.bpe");
    write_encoder(encoder, sizeof(encoder), "\"<|endoftext|>\": 257");
    test_file_write(json, encoder, strlen(encoder));
    test_file_write(bpe, "a b\n", 4);
    test_refuse_each(scenario_import, path);
    test_dir_remove(dir);
    free(text.at);
    test_host_check(&h);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tokenizer");
    TCase *t = tcase_create("tokenizer");

    tcase_set_timeout(t, 120);
    tcase_add_test(t, unicode_classes);
    tcase_add_test(t, unicode_ascii_equals_the_table);
    tcase_add_test(t, unicode_ranges);
    tcase_add_test(t, spelling_round_trip);
    tcase_add_test(t, pieces_by_hand);
    tcase_add_test(t, pieces_equal_the_regular_expressions);
    tcase_add_test(t, cuts_do_not_change_pieces);
    tcase_add_test(t, gpt2_vectors);
    tcase_add_test(t, neox_vectors);
    tcase_add_test(t, gpt2_round_trip);
    tcase_add_test(t, words_equal_the_definition);
    tcase_add_test(t, long_words_equal_the_definition);
    tcase_add_test(t, long_words_are_fast_and_small);
    tcase_add_test(t, work_is_linear_in_the_text);
    tcase_add_test(t, remembered_words_have_their_ids);
    tcase_add_test(t, special_spellings);
    tcase_add_test(t, decode_refuses_foreign_ids);
    tcase_add_test(t, nfc_by_hand);
    tcase_add_test(t, nfc_sorts_many_marks);
    tcase_add_test(t, stream_gives_whole_characters);
    tcase_add_test(t, stream_equals_the_definition);
    tcase_add_test(t, parts_are_checked);
    tcase_add_test(t, digest_is_the_documented_one);
    tcase_add_test(t, container_round_trip);
    tcase_add_test(t, hostile_containers_are_refused);
    tcase_add_test(t, random_damage_is_survived);
    tcase_add_test(t, own_vocabularies_have_the_decided_layout);
    tcase_add_test(t, training_equals_the_definition);
    tcase_add_test(t, training_limits_the_length_of_tokens);
    tcase_add_test(t, training_is_deterministic);
    tcase_add_test(t, training_shares_long_texts);
    tcase_add_test(t, training_reports_and_refuses);
    tcase_add_test(t, words_are_counted);
    tcase_add_test(t, import_refuses_damage);
    tcase_add_test(t, import_refuses_deep_nesting);
    tcase_add_test(t, import_names_a_missing_file);
    tcase_add_test(t, out_of_memory_leaves_nothing);
    suite_add_tcase(s, t);
    return test_main(s);
}
