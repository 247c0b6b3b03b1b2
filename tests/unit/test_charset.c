/* SPDX-License-Identifier: Apache-2.0 */
/* Character sets: the examples of PS3.5 annexes H to K, the tables against the C library's, whole
   data sets, and the golden sources there and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <iconv.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "charset.h"
#include "charset_sets.h"

#define VR(name)     DCB_VR((name)[0], (name)[1])
#define S(literal)   literal, sizeof(literal) - 1
#define COUNT(array) (sizeof(array) / sizeof *(array))
#define ESC          "\x1B"

typedef struct text_case {
    const char *charset, *vr;
    const char *bytes;
    size_t nbytes;
    const char *utf8;
} text_case;

/* Both ways, to the byte. */
static const text_case exact_cases[] = {
    {"", "LO", S("Plain"), "Plain"},
    {"", "LO", S(""), ""},
    {"ISO_IR 6", "PN", S("A^B"), "A^B"},
    {"ISO_IR 100", "PN", S("Buc^J\xE9r\xF4me"), "Buc^Jérôme"},
    {"ISO 2022 IR 100", "PN", S("Buc^J\xE9r\xF4me"), "Buc^Jérôme"},
    {"ISO_IR 101", "LO", S("\xA3\xF3\x64\xBC"), "Łódź"},
    {"ISO_IR 109", "LO", S("\xA6\xFE"), "Ĥŝ"},
    {"ISO_IR 110", "LO", S("R\xEEga \xE0"), "Rîga ā"},
    {"ISO_IR 144", "PN",
     S("\xBB\xEE\xDA"
       "ce\xDC\xD1yp\xD3"),
     "Люкceмбypг"},
    {"ISO_IR 127", "PN", S("\xE2\xC8\xC7\xE6\xEA^\xE4\xE6\xD2\xC7\xD1"), "قباني^لنزار"},
    {"ISO_IR 126", "PN", S("\xC4\xE9\xEF\xED\xF5\xF3\xE9\xEF\xF2"), "Διονυσιος"},
    {"ISO_IR 138", "PN", S("\xF9\xF8\xE5\xEF^\xE3\xE1\xE5\xF8\xE4"), "שרון^דבורה"},
    {"ISO_IR 148", "LO", S("\xDDzmir \xF0"), "İzmir ğ"},
    {"ISO_IR 203", "LO", S("\xA4 \xBD"), "€ œ"},
    {"ISO_IR 166", "LO", S("\xA1\xD2\xC3"), "การ"},
    {"ISO_IR 13", "PN", S("\xD4\xCF\xC0\xDE^\xC0\xDB\xB3"), "ﾔﾏﾀﾞ^ﾀﾛｳ"},
    /* yen and overline in the place of backslash and tilde; between values it is a delimiter */
    {"ISO_IR 13", "LT", S("\\100 ~"), "¥100 ‾"},
    {"ISO_IR 13", "LO", S("a\\b~"), "a\\b‾"},
    /* annex H.3.1 and H.3.2 */
    {"\\ISO 2022 IR 87", "PN",
     S("Yamada^Tarou=" ESC "$B;3ED" ESC "(B^" ESC "$BB@O:" ESC "(B=" ESC "$B$d$^$@" ESC "(B^" ESC
       "$B$?$m$&" ESC "(B"),
     "Yamada^Tarou=山田^太郎=やまだ^たろう"},
    {"ISO 2022 IR 13\\ISO 2022 IR 87", "PN",
     S("\xD4\xCF\xC0\xDE^\xC0\xDB\xB3=" ESC "$B;3ED" ESC "(J^" ESC "$BB@O:" ESC "(J=" ESC
       "$B$d$^$@" ESC "(J^" ESC "$B$?$m$&" ESC "(J"),
     "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"},
    /* a backslash and a caret inside two-byte characters (row 60, and $^ above) */
    {"\\ISO 2022 IR 87", "LO", S(ESC "$B\\\\" ESC "(B\\x"), "樛\\x"},
    {"\\ISO 2022 IR 87\\ISO 2022 IR 159", "LO", S("a" ESC "$B;3" ESC "$(D0!" ESC "(Bb"), "a山丂b"},
    {"\\ISO 2022 IR 87", "LT", S(ESC "$B;3" ESC "(B\r\n" ESC "$BED" ESC "(B"), "山\r\n田"},
    /* annex I.2 and I.3: announced where the component or line that needs it begins */
    {"\\ISO 2022 IR 149", "PN",
     S("Hong^Gildong=" ESC "$)C\xFB\xF3^" ESC "$)C\xD1\xCE\xD4\xD7=" ESC "$)C\xC8\xAB^" ESC
       "$)C\xB1\xE6\xB5\xBF"),
     "Hong^Gildong=洪^吉洞=홍^길동"},
    {"\\ISO 2022 IR 149", "LT",
     S(ESC "$)CThe 1st line includes \xB1\xE6\xB5\xBF.\r\n" ESC
           "$)CThe 2nd line includes \xB1\xE6\xB5\xBF, too.\r\nThe 3rd line"),
     "The 1st line includes 길동.\r\nThe 2nd line includes 길동, too.\r\nThe 3rd line"},
    /* annex J: sets without code extensions */
    {"ISO_IR 192", "PN", S("Wang^XiaoDong=\xE7\x8E\x8B^\xE5\xB0\x8F\xE6\x9D\xB1="),
     "Wang^XiaoDong=王^小東="},
    {"GB18030", "PN", S("Wang^XiaoDong=\xCD\xF5^\xD0\xA1\xB6\xAB="), "Wang^XiaoDong=王^小东="},
    {"GBK", "PN", S("Wang^XiaoDong=\xCD\xF5^\xD0\xA1\xB6\xAB="), "Wang^XiaoDong=王^小东="},
    /* a backslash and a caret as second bytes */
    {"GBK", "LO", S("\x81\x5C\\\x81\x5Ex"), "乗\\乛x"},
    {"GB18030", "LO", S("\x81\x5C\\\xA2\xE3"), "乗\\€"},
    {"GB18030", "LO", S("\x94\x39\xFC\x36\x82\x35\x98\x33\x84\x31\xA4\x37"), "😀ꀀ\xEF\xBF\xBD"},
    /* annex K */
    {"\\ISO 2022 IR 58", "PN", S("Zhang^XiaoDong=" ESC "$)A\xD5\xC5^" ESC "$)A\xD0\xA1\xB6\xAB="),
     "Zhang^XiaoDong=张^小东="},
    {"\\ISO 2022 IR 58", "UT",
     S(ESC "$)A1. \xB5\xDA\xD2\xBB\xD0\xD0\xCE\xC4\xD7\xD6\xA1\xA3\r\n" ESC
           "$)A2. \xB5\xDA\xB6\xFE\xD0\xD0\xCE\xC4\xD7\xD6\xA1\xA3\r\n"),
     "1. 第一行文字。\r\n2. 第二行文字。\r\n"},
    /* single-byte sets by code extension; the initial one comes back before the delimiter */
    {"\\ISO 2022 IR 126", "LO", S("a" ESC "-F\xC4"), "aΔ"},
    {"ISO 2022 IR 100\\ISO 2022 IR 144", "PN", S("\xE9" ESC "-L\xBB" ESC "-A^\xE9"), "éЛ^é"},
    {"ISO 2022 IR 100\\ISO 2022 IR 144", "PN", S("\xE9" ESC "-L\xBB" ESC "-A"), "éЛ"},
    {"\\ISO 2022 IR 100\\ISO 2022 IR 126", "LO", S(ESC "-A\xE9\\" ESC "-F\xC4"), "é\\Δ"},
    /* outside of PN, ^ and = are text; a backslash is text in LT */
    {"\\ISO 2022 IR 126", "LO", S(ESC "-F\xC4^\xC4=\xC4"), "Δ^Δ=Δ"},
    {"\\ISO 2022 IR 126", "LT", S(ESC "-F\xC4\\\xC4\t" ESC "-F\xC4"), "Δ\\Δ\tΔ"},
};

/* Bytes that senders write though we would not: read for what they mean. */
static const text_case read_cases[] = {
    {NULL, "LO", S("\xE9"), "\xEF\xBF\xBD"},
    {"", "LO", S("a\xE9\\b"), "a\xEF\xBF\xBD\\b"},
    {"ISO_IR 100", "LO", S("\x80\x9F\xA0"), "\xEF\xBF\xBD\xEF\xBF\xBD\xC2\xA0"},
    {"ISO_IR 127", "LO", S("\xA1"), "\xEF\xBF\xBD"},
    /* spellings */
    {"ISO-IR 100", "LO", S("\xE9"), "é"},
    {"ISO IR 100", "LO", S("\xE9"), "é"},
    {"iso_ir_100 ", "LO", S("\xE9"), "é"},
    {"ISO 2022 IR100", "LO", S("\xE9"), "é"},
    {"ISO 2022 GBK", "LO", S("\x81\x5C"), "乗"},
    {"UTF-8", "LO", S("\xC3\xA9"), "é"},
    {"\\ISO_IR 192", "LO", S("\xC3\xA9"), "é"},
    {"ISO_IR 192\\ISO 2022 IR 87", "LO", S("\xC3\xA9"), "é"},
    {"ISO 2022 IR 6\\ISO 2022 IR 87", "LO", S(ESC "$B;3" ESC "(B"), "山"},
    /* a multi-byte set as the only or the first term; escapes not announced */
    {"ISO 2022 IR 87", "LO", S(ESC "$B;3" ESC "(B"), "山"},
    {"ISO 2022 IR 149", "PN", S("\xC8\xAB^" ESC "$)C\xB1\xE6"), "홍^길"},
    {"\\ISO 2022 IR 149", "PN", S(ESC "$)C\xC8\xAB^\xB1\xE6"), "홍^길"},
    {"ISO_IR 100", "LO", S("\xE9" ESC "-F\xC4"), "éΔ"},
    {"", "LO", S(ESC "$B;3" ESC "(B"), "山"},
    {"\\ISO 2022 IR 87", "LO", S(ESC "$@;3" ESC "(B"), "山"},
    /* extensions end at the delimiter even where nobody said so */
    {"ISO 2022 IR 100\\ISO 2022 IR 126", "LO", S(ESC "-F\xC4\\\xC4"), "Δ\\Ä"},
    {"ISO 2022 IR 100\\ISO 2022 IR 126", "PN", S(ESC "-F\xC4^\xC4=\xC4"), "Δ^Ä=Ä"},
    {"ISO 2022 IR 100\\ISO 2022 IR 126", "ST", S(ESC "-F\xC4\\\xC4\n\xC4"), "Δ\\Δ\nÄ"},
    {"\\ISO 2022 IR 87", "LO", S(ESC "$B;3\r\nab"), "山\r\nab"},
    /* damage: unknown and cut escapes, halves of characters, unassigned codes */
    {"\\ISO 2022 IR 87", "LO", S("a" ESC "$Zb"), "a\xEF\xBF\xBD$Zb"},
    {"\\ISO 2022 IR 87", "LO", S("a" ESC), "a\xEF\xBF\xBD"},
    {"\\ISO 2022 IR 87", "LO", S(ESC "$B;"), "\xEF\xBF\xBD"},
    {"\\ISO 2022 IR 87", "LO", S(ESC "$B;" ESC "(Bab"),
     "\xEF\xBF\xBD"
     "ab"},
    {"\\ISO 2022 IR 87", "LO", S(ESC "$B\x29\x21" ESC "(B"), "\xEF\xBF\xBD"},
    {"\\ISO 2022 IR 149", "LO", S(ESC "$)C\xC8\\b"), "\xEF\xBF\xBD\\b"},
    {"ISO_IR 192", "LO", S("\xC3\\\xE7\x8E^\xC0\x80\xED\xA0\x80\xF4\x90\x80\x80"),
     "\xEF\xBF\xBD\\\xEF\xBF\xBD^\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"
     "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
    {"GBK", "LO",
     S("\x80"
       "a\xCD"),
     "\xEF\xBF\xBD"
     "a\xEF\xBF\xBD"},
    {"GB18030", "LO", S("\x94\x39\\b\x94"),
     "\xEF\xBF\xBD"
     "9\\b\xEF\xBF\xBD"},
};

static dcb__charset *open_charset(const char *value)
{
    dcb__charset *charset;
    dcb_error error = DCB_ERROR_INIT;
    if (dcb__charset_open(&charset, value, &error) != DCB_OK)
        print_error("%s: %s\n", value, error.message);
    assert_non_null(charset);
    return charset;
}

static void check_decode(const dcb__charset *charset, const text_case *c)
{
    char *text;
    size_t nbytes;
    void *copy = malloc(c->nbytes + !c->nbytes); /* so that a read past the end is seen */
    memcpy(copy, c->bytes, c->nbytes);
    assert_int_equal(dcb__charset_decode(&text, &nbytes, charset, VR(c->vr), copy, c->nbytes, NULL),
                     DCB_OK);
    assert_string_equal(text, c->utf8);
    assert_int_equal(nbytes, strlen(c->utf8));
    free(text);
    free(copy);
}

static void *decode_in_thread(void *argument)
{
    const text_case *korean = argument;
    dcb__charset *charset;
    char *text = NULL;
    size_t nbytes;
    if (dcb__charset_open(&charset, korean->charset, NULL) != DCB_OK)
        return NULL;
    dcb__charset_decode(&text, &nbytes, charset, VR(korean->vr), korean->bytes, korean->nbytes,
                        NULL);
    dcb__charset_close(charset);
    return text;
}

/* Threads that are first to use a multi-byte set, all at once: this test comes before the others.
 */
static void test_first_use_by_threads(void **state)
{
    (void)state;
    static const text_case korean = {"\\ISO 2022 IR 149", "LO", S(ESC "$)C\xC8\xAB"), "홍"};
    pthread_t threads[8];
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, decode_in_thread, (void *)&korean), 0);
    for (size_t i = 0; i < COUNT(threads); i++) {
        void *text;
        assert_int_equal(pthread_join(threads[i], &text), 0);
        assert_non_null(text);
        assert_string_equal((char *)text, korean.utf8);
        free(text);
    }
}

static void test_exact(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(exact_cases); i++) {
        const text_case *c = &exact_cases[i];
        dcb__charset *charset = open_charset(c->charset);
        uint8_t *bytes;
        size_t nbytes;
        check_decode(charset, c);
        assert_int_equal(dcb__charset_encode(&bytes, &nbytes, charset, VR(c->vr), c->utf8,
                                             strlen(c->utf8), NULL),
                         DCB_OK);
        if (nbytes != c->nbytes || memcmp(bytes, c->bytes, nbytes) != 0)
            print_error("case %zu (%s)\n", i, c->charset);
        assert_int_equal(nbytes, c->nbytes);
        assert_memory_equal(bytes, c->bytes, nbytes);
        free(bytes);
        dcb__charset_close(charset);
    }
}

static void test_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(read_cases); i++) {
        dcb__charset *charset = open_charset(read_cases[i].charset);
        check_decode(charset, &read_cases[i]);
        dcb__charset_close(charset);
    }
}

static void test_unknown_terms(void **state)
{
    (void)state;
    static const char *const values[] = {
        "ISO_IR 7",
        "ISO_IR",
        "ISO 2022",
        "ISO_IR 0",
        "KOI8-R",
        "ISO_IR 100x",
        "\\ISO_IR 99999999999999999999",
        "ISO_IR 100\\?",
        "\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\",
    };
    for (size_t i = 0; i < COUNT(values); i++) {
        dcb__charset *charset = (dcb__charset *)(uintptr_t)1;
        dcb_error error = DCB_ERROR_INIT;
        assert_int_equal(dcb__charset_open(&charset, values[i], &error), DCB_ERR_UNSUPPORTED);
        assert_null(charset);
        assert_string_equal(error.message, "SpecificCharacterSet (0008,0005) names an unknown set");
    }
    dcb__charset *charset;
    dcb_error error = DCB_ERROR_INIT;
    assert_int_equal(dcb__charset_open(&charset, "ISO_IR 100\\ISO_IR 192", &error),
                     DCB_ERR_UNSUPPORTED);
    assert_string_equal(error.message,
                        "SpecificCharacterSet (0008,0005) mixes sets that cannot be mixed");
}

static void test_not_encodable(void **state)
{
    (void)state;
    static const struct {
        const char *charset, *vr, *text;
    } cases[] = {
        {"", "LO", "é"},
        {"ISO_IR 100", "LO", "Δ"},
        {"ISO_IR 100", "LO", "\xEF\xBF\xBD"},
        {"\\ISO 2022 IR 87", "LO", "홍"},
        {"\\ISO 2022 IR 149", "LO", "é"},
        {"GBK", "LO", "😀"},
        {"ISO_IR 13", "LO", "~"},
        {"ISO_IR 13", "LT", "\\"},
        {"ISO_IR 13", "LO", "¥"}, /* its code is the delimiter */
        {"ISO_IR 100", "LO", "a" ESC "b"},
        {"ISO_IR 192", "LO", "\xC3("},
        {"ISO_IR 100", "LO", "\xC3"},
        {"GB18030", "LO", "\xED\xA0\x80"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        dcb__charset *charset = open_charset(cases[i].charset);
        uint8_t *bytes = (uint8_t *)(uintptr_t)1;
        size_t nbytes = 1;
        assert_int_equal(dcb__charset_encode(&bytes, &nbytes, charset, VR(cases[i].vr),
                                             cases[i].text, strlen(cases[i].text), NULL),
                         DCB_ERR_ENCODING);
        assert_null(bytes);
        assert_int_equal(nbytes, 0);
        dcb__charset_close(charset);
    }
}

static void test_is_same(void **state)
{
    (void)state;
    dcb__charset *latin = open_charset("ISO_IR 100"), *kana = open_charset("ISO_IR 13");
    assert_true(dcb__charset_is_same(latin, S("Doe^J\\~")));
    assert_true(dcb__charset_is_same(latin, NULL, 0));
    assert_false(dcb__charset_is_same(latin, S("J\xE9")));
    assert_false(dcb__charset_is_same(latin, S("a" ESC "(B")));
    assert_true(dcb__charset_is_same(kana, S("Doe^J")));
    assert_false(dcb__charset_is_same(kana, S("a\\b")));
    assert_false(dcb__charset_is_same(kana, S("~")));
    dcb__charset_close(latin);
    dcb__charset_close(kana);
}

/* Our tables of single-byte sets against the C library's, where it has them. */
static void test_tables(void **state)
{
    (void)state;
    static const struct {
        dcb__set set;
        const char *name;
    } sets[] = {
        {DCB_SET_LATIN1, "ISO-8859-1"},   {DCB_SET_LATIN2, "ISO-8859-2"},
        {DCB_SET_LATIN3, "ISO-8859-3"},   {DCB_SET_LATIN4, "ISO-8859-4"},
        {DCB_SET_CYRILLIC, "ISO-8859-5"}, {DCB_SET_ARABIC, "ISO-8859-6"},
        {DCB_SET_GREEK, "ISO-8859-7"},    {DCB_SET_HEBREW, "ISO-8859-8"},
        {DCB_SET_LATIN5, "ISO-8859-9"},   {DCB_SET_LATIN9, "ISO-8859-15"},
        {DCB_SET_THAI, "ISO-8859-11"},    {DCB_SET_KATAKANA, "JIS_X0201"},
    };
    for (size_t i = 0; i < COUNT(sets); i++) {
        iconv_t converter = iconv_open("UCS-4LE", sets[i].name);
        for (unsigned byte = 0x80; byte <= 0xFF; byte++) {
            uint32_t ours = dcb__set_high(sets[i].set, (uint8_t)byte);
            if (ours != 0)
                assert_int_equal(dcb__set_high_code(sets[i].set, ours), byte);
            if (converter == (iconv_t)-1 || byte < 0xA0)
                continue;
            char in = (char)byte, *from = &in;
            uint8_t out[8] = {0};
            char *to = (char *)out;
            size_t in_left = 1, out_left = sizeof out;
            uint32_t theirs = 0;
            if (iconv(converter, &from, &in_left, &to, &out_left) == 0)
                theirs = (uint32_t)out[0] | (uint32_t)out[1] << 8;
            assert_int_equal(ours, theirs);
        }
        if (converter != (iconv_t)-1)
            iconv_close(converter);
        assert_int_equal(dcb__set_high_code(sets[i].set, 0x4E00), DCB_NO_CODE);
        assert_int_equal(dcb__set_high_code(sets[i].set, 0x41), DCB_NO_CODE);
    }
}

/* Every character of every multi-byte set, there and back. */
static void test_wide_round_trip(void **state)
{
    (void)state;
    static const struct {
        const char *charset;
        size_t at_least; /* characters that the standard of the set has */
    } cases[] = {
        {"\\ISO 2022 IR 87", 6879},
        {"\\ISO 2022 IR 159", 6066},
        {"\\ISO 2022 IR 149", 8227},
        {"\\ISO 2022 IR 58", 7445},
        {"GBK", 21791},
        {"GB18030", 1100000},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        dcb__charset *charset = open_charset(cases[i].charset);
        size_t held = 0;
        for (uint32_t c = 0x80; c <= 0x10FFFF; c++) {
            dcb__text utf8;
            dcb__text_init(&utf8, 4);
            dcb__text_append_utf8(&utf8, c);
            uint8_t *text, *bytes;
            size_t text_nbytes, nbytes, back_nbytes;
            assert_int_equal(dcb__text_finish(&text, &text_nbytes, &utf8, NULL), DCB_OK);
            if (dcb__charset_encode(&bytes, &nbytes, charset, VR("LO"), (const char *)text,
                                    text_nbytes, NULL) == DCB_OK) {
                char *back;
                assert_int_equal(dcb__charset_decode(&back, &back_nbytes, charset, VR("LO"), bytes,
                                                     nbytes, NULL),
                                 DCB_OK);
                assert_string_equal(back, (const char *)text);
                free(back);
                free(bytes);
                held++;
            }
            free(text);
        }
        if (held < cases[i].at_least)
            print_error("%s: %zu characters\n", cases[i].charset, held);
        assert_true(held >= cases[i].at_least);
        dcb__charset_close(charset);
    }
}

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* Any bytes in any set decode to UTF-8; what encodes again decodes to the same. */
static void test_random_bytes(void **state)
{
    (void)state;
    static const char *const charsets[] = {"",
                                           "ISO_IR 100",
                                           "ISO 2022 IR 13\\ISO 2022 IR 87\\ISO 2022 IR 159",
                                           "ISO 2022 IR 100\\ISO 2022 IR 149\\ISO 2022 IR 58",
                                           "\\ISO 2022 IR 126\\ISO 2022 IR 144",
                                           "GBK",
                                           "GB18030",
                                           "ISO_IR 192"};
    static const char *const pieces[] = {ESC "$B",  ESC "(B", ESC "(J", ESC "$)C", ESC "-F",
                                         ESC "$(D", "^",      "=",      "\\",      "\r\n",
                                         ESC,       "\xA1",   "0!"};
    uint32_t seed = 19930901;
    for (size_t i = 0; i < COUNT(charsets); i++) {
        dcb__charset *charset = open_charset(charsets[i]);
        for (int round = 0; round < 4000; round++) {
            uint8_t bytes[64];
            size_t nbytes = 0, text_nbytes, again_nbytes, encoded_nbytes;
            while (nbytes < 48 && next_random(&seed) % 16 != 0) {
                const char *piece = pieces[next_random(&seed) % COUNT(pieces)];
                if (next_random(&seed) % 2 == 0) {
                    memcpy(bytes + nbytes, piece, strlen(piece));
                    nbytes += strlen(piece);
                } else {
                    bytes[nbytes++] = (uint8_t)next_random(&seed);
                }
            }
            dcb_vr vr = VR((next_random(&seed) % 2 == 0 ? "PN" : "LT"));
            char *text, *again;
            uint8_t *encoded;
            assert_int_equal(
                dcb__charset_decode(&text, &text_nbytes, charset, vr, bytes, nbytes, NULL), DCB_OK);
            for (size_t pos = 0; pos < text_nbytes;)
                assert_true(dcb__utf8_next((uint8_t *)text, text_nbytes, &pos) != DCB_BAD_UTF8);
            if (dcb__charset_encode(&encoded, &encoded_nbytes, charset, vr, text, text_nbytes,
                                    NULL) == DCB_OK) {
                assert_int_equal(dcb__charset_decode(&again, &again_nbytes, charset, vr, encoded,
                                                     encoded_nbytes, NULL),
                                 DCB_OK);
                assert_int_equal(again_nbytes, text_nbytes);
                assert_memory_equal(again, text, text_nbytes);
                free(again);
                free(encoded);
            }
            free(text);
        }
        dcb__charset_close(charset);
    }
}

static void put(dcb_dataset *dataset, uint32_t tag, const char *vr, const char *text)
{
    assert_int_equal(dcb_dataset_put_text(dataset, tag, VR(vr), text, NULL), DCB_OK);
}

static void assert_text(const dcb_dataset *dataset, uint32_t tag, const char *expected)
{
    char text[128];
    ptrdiff_t length = dcb_dataset_get_text(dataset, tag, text, sizeof text);
    if (expected == NULL) {
        assert_int_equal(length, -1);
        return;
    }
    assert_int_equal(length, strlen(expected));
    assert_string_equal(text, expected);
}

#define CHARSET  0x00080005
#define NAME     0x00100010
#define COMMENT  0x00204000
#define SEQUENCE 0x00081140

/* Items with a set of their own, without one, and with an empty one. */
static void test_dataset_items(void **state)
{
    (void)state;
    dcb_dataset *dataset, *greek, *inner, *inherits, *empty;
    assert_int_equal(dcb_dataset_create(&dataset, NULL), DCB_OK);
    put(dataset, CHARSET, "CS", "ISO_IR 100");
    put(dataset, NAME, "PN", "J\xE9");
    put(dataset, COMMENT, "LT", "plain");
    put(dataset, 0x00291001, "UN", "\xE9\xE9");
    assert_int_equal(dcb_dataset_add_item(&greek, dataset, SEQUENCE, NULL), DCB_OK);
    assert_int_equal(dcb_dataset_add_item(&inner, greek, SEQUENCE, NULL), DCB_OK);
    assert_int_equal(dcb_dataset_add_item(&inherits, dataset, SEQUENCE, NULL), DCB_OK);
    assert_int_equal(dcb_dataset_add_item(&empty, dataset, SEQUENCE, NULL), DCB_OK);
    put(greek, CHARSET, "CS", "ISO_IR 126");
    put(greek, NAME, "PN", "\xC4");
    put(inner, NAME, "PN", "\xC4");
    put(inherits, NAME, "PN", "\xC4");
    put(empty, CHARSET, "CS", "");
    put(empty, NAME, "PN", "\xC4");
    assert_int_equal(dcb_dataset_to_utf8(dataset, NULL), DCB_OK);
    assert_text(dataset, CHARSET, "ISO_IR 192");
    assert_text(dataset, NAME, "Jé");
    assert_text(dataset, COMMENT, "plain");
    assert_text(dataset, 0x00291001, "\xE9\xE9");
    assert_text(greek, CHARSET, NULL);
    assert_text(greek, NAME, "Δ");
    assert_text(inner, NAME, "Δ");
    assert_text(inherits, NAME, "Ä");
    assert_text(empty, CHARSET, NULL);
    assert_text(empty, NAME, "Ä");

    /* twice is once */
    assert_int_equal(dcb_dataset_to_utf8(dataset, NULL), DCB_OK);
    assert_text(greek, NAME, "Δ");

    /* Latin 1 cannot hold the Greek of the items: all of it stays UTF-8 */
    dcb_error error = DCB_ERROR_INIT;
    assert_int_equal(dcb_dataset_from_utf8(dataset, "ISO_IR 100", &error), DCB_OK);
    assert_int_equal(error.status, DCB_OK);
    assert_text(dataset, CHARSET, "ISO_IR 192");
    assert_text(dataset, NAME, "Jé");
    assert_text(inner, NAME, "Δ");

    static const char both[] = "ISO 2022 IR 100\\ISO 2022 IR 126";
    assert_int_equal(dcb_dataset_from_utf8(dataset, both, NULL), DCB_OK);
    assert_text(dataset, CHARSET, both);
    assert_text(dataset, NAME, "J\xE9");
    assert_text(inner, NAME, ESC "-F\xC4" ESC "-A");
    dcb_dataset_close(dataset);
}

static void test_dataset_ascii(void **state)
{
    (void)state;
    dcb_dataset *dataset;
    assert_int_equal(dcb_dataset_create(&dataset, NULL), DCB_OK);
    put(dataset, NAME, "PN", "Doe^J");
    put(dataset, CHARSET, "CS", "ISO_IR 100");
    assert_int_equal(dcb_dataset_to_utf8(dataset, NULL), DCB_OK);
    assert_text(dataset, CHARSET, NULL);
    assert_int_equal(dcb_dataset_from_utf8(dataset, "ISO_IR 100", NULL), DCB_OK);
    assert_text(dataset, CHARSET, NULL);
    assert_text(dataset, NAME, "Doe^J");

    /* ASCII bytes that are not ASCII text */
    put(dataset, CHARSET, "CS", "ISO_IR 13");
    put(dataset, COMMENT, "LT", "\\100");
    assert_int_equal(dcb_dataset_to_utf8(dataset, NULL), DCB_OK);
    assert_text(dataset, CHARSET, "ISO_IR 192");
    assert_text(dataset, COMMENT, "¥100");
    assert_int_equal(dcb_dataset_from_utf8(dataset, "ISO_IR 13", NULL), DCB_OK);
    assert_text(dataset, CHARSET, "ISO_IR 13");
    assert_text(dataset, COMMENT, "\\100");

    /* no character set, or one that nobody knows: nothing is changed */
    dcb_error error = DCB_ERROR_INIT;
    put(dataset, CHARSET, "CS", "KOI8-R");
    put(dataset, NAME, "PN", "\xC4");
    assert_int_equal(dcb_dataset_to_utf8(dataset, &error), DCB_ERR_UNSUPPORTED);
    assert_int_equal(error.status, DCB_ERR_UNSUPPORTED);
    assert_text(dataset, CHARSET, "KOI8-R");
    assert_text(dataset, NAME, "\xC4");
    assert_int_equal(dcb_dataset_from_utf8(dataset, "KOI8-R", &error), DCB_ERR_UNSUPPORTED);
    dcb_dataset_remove(dataset, CHARSET);
    assert_int_equal(dcb_dataset_to_utf8(dataset, &error), DCB_OK);
    assert_text(dataset, NAME, "\xEF\xBF\xBD");
    dcb_dataset_close(dataset);
}

/* An unknown set in a late item leaves the early text alone too. */
static void test_dataset_is_atomic(void **state)
{
    (void)state;
    dcb_dataset *dataset, *item;
    assert_int_equal(dcb_dataset_create(&dataset, NULL), DCB_OK);
    put(dataset, CHARSET, "CS", "ISO_IR 100");
    put(dataset, 0x00080080, "LO", "\xC4");
    assert_int_equal(dcb_dataset_add_item(&item, dataset, SEQUENCE, NULL), DCB_OK);
    put(item, CHARSET, "CS", "NONE");
    assert_int_equal(dcb_dataset_to_utf8(dataset, NULL), DCB_ERR_UNSUPPORTED);
    assert_text(dataset, 0x00080080, "\xC4");
    assert_text(item, CHARSET, "NONE");
    dcb_dataset_close(dataset);
}

static uint8_t *read_file(const char *path, size_t *nbytes)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return NULL;
    uint8_t *bytes = malloc(8u << 20);
    *nbytes = fread(bytes, 1, 8u << 20, file);
    fclose(file);
    return bytes;
}

static dcb_dataset *read_part10(const char *path)
{
    size_t nbytes;
    uint8_t *bytes = read_file(path, &nbytes);
    if (bytes == NULL)
        return NULL;
    assert_true(nbytes > 144 && memcmp(bytes + 128, "DICM\x02\0\0\0UL\x04\0", 12) == 0);
    size_t start = 144 + (bytes[140] | (size_t)bytes[141] << 8);
    dcb_dataset *dataset;
    dcb_error error = DCB_ERROR_INIT;
    dcb_status status = dcb_dataset_parse(&dataset, bytes + start, nbytes - start,
                                          DCB_SYNTAX_EXPLICIT_LE, NULL, NULL, NULL, &error);
    if (status != DCB_OK)
        print_error("%s: %s\n", path, error.message);
    assert_int_equal(status, DCB_OK);
    free(bytes);
    return dataset;
}

/* Sources of other makers: the name is right in Unicode, and every byte comes back. */
static void test_golden(void **state)
{
    (void)state;
    static const struct {
        const char *name, *utf8;
    } cases[] = {
        {"chrArab", "قباني^لنزار"},         {"chrFren", "Buc^Jérôme"},
        {"chrFrenMulti", "Buc^Jérôme"},     {"chrGerm", "Äneas^Rüdiger"},
        {"chrGreek", "Διονυσιος"},          {"chrH31", "Yamada^Tarou=山田^太郎=やまだ^たろう"},
        {"chrHbrw", "שרון^דבורה"},          {"chrRuss", "Люкceмбypг"},
        {"chrX1", "Wang^XiaoDong=王^小東"},
    };
    size_t found = 0;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char path[512], charset[64];
        snprintf(path, sizeof path, GOLDEN_DIR "/charset_%s/source/%s.dcm", cases[i].name,
                 cases[i].name);
        dcb_dataset *source = read_part10(path), *copy;
        if (source == NULL)
            continue;
        found++;
        assert_true(dcb_dataset_get_text(source, CHARSET, charset, sizeof charset) > 0);
        assert_int_equal(dcb_dataset_copy(&copy, source, NULL), DCB_OK);
        assert_int_equal(dcb_dataset_to_utf8(copy, NULL), DCB_OK);
        assert_text(copy, CHARSET, "ISO_IR 192");
        char name[128];
        dcb_dataset_get_text(copy, NAME, name, sizeof name);
        /* chrX1 has an empty phonetic group, some copies of it have not */
        size_t length = strlen(name);
        if (length > 0 && name[length - 1] == '=')
            name[length - 1] = '\0';
        assert_string_equal(name, cases[i].utf8);
        assert_int_equal(dcb_dataset_from_utf8(copy, charset, NULL), DCB_OK);
        uint8_t *expected, *bytes;
        size_t expected_nbytes, nbytes;
        assert_int_equal(
            dcb_dataset_encode(&expected, &expected_nbytes, source, DCB_SYNTAX_EXPLICIT_LE, NULL),
            DCB_OK);
        assert_int_equal(dcb_dataset_encode(&bytes, &nbytes, copy, DCB_SYNTAX_EXPLICIT_LE, NULL),
                         DCB_OK);
        assert_int_equal(nbytes, expected_nbytes);
        assert_memory_equal(bytes, expected, nbytes);
        free(bytes);
        free(expected);
        dcb_dataset_close(copy);
        dcb_dataset_close(source);
    }
    if (found == 0)
        skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_use_by_threads),
        cmocka_unit_test(test_exact),
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_unknown_terms),
        cmocka_unit_test(test_not_encodable),
        cmocka_unit_test(test_is_same),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_wide_round_trip),
        cmocka_unit_test(test_random_bytes),
        cmocka_unit_test(test_dataset_items),
        cmocka_unit_test(test_dataset_ascii),
        cmocka_unit_test(test_dataset_is_atomic),
        cmocka_unit_test(test_golden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
