/* SPDX-License-Identifier: Apache-2.0 */
#include "text_fold.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const struct {
    const char *text, *folded;
} cases[] = {
    {"", ""},
    {"DOE^John", "doe^john"},
    {"Müller^Jörg", "muller^jorg"},
    {"Mu\xcc\x88ller^JO\xcc\x88RG", "muller^jorg"}, /* combining diaeresis */
    {"Strauß", "strauss"},
    {"STRAUẞ", "strauss"},
    {"ﬁﬂ", "fifl"}, /* ligatures */
    {"Æsir^Œuvre", "aesir^oeuvre"},
    {"Łukasz^Ødegård", "lukasz^odegard"},
    {"İstanbul", "istanbul"},
    {"ısparta", "isparta"},
    {"Ñandú", "nandu"},
    {"Nguyễn^Thị", "nguyen^thi"},
    {"ΣΊΣΥΦΟΣ", "σισυφοσ"},
    {"σίσυφος", "σισυφοσ"},
    {"Люкceмбypг Й", "люкceмбypг и"},
    {"ＹＡＭＡＤＡ^Ｔａｒｏ", "yamada^taro"}, /* full width */
    {"ﾔﾏﾀﾞ", "ヤマダ"},                       /* half-width kana, voiced mark composed */
    {"が", "が"},                             /* not か: another letter */
    {"Yamada=山田^太郎=やまだ", "yamada=山田^太郎=やまだ"},
    {"김희중", "김희중"}, /* syllables stay one code point */
    {"हिन्दी", "हिन्दी"},
    {"قَبَّاني", "قباني"}, /* harakat */
    {"שָׁלוֹם", "שלום"},
    {"M*L?E^=\\", "m*l?e^=\\"},
    {"Ｍ＊＾＝？", "m＊＾＝？"}, /* no wildcard or delimiter comes into being */
    {"a\xc2\xad"
     "b",
     "ab"}, /* soft hyphen */
    {"a\xff\xe4z", "a\xef\xbf\xbd\xef\xbf\xbdz"},
    {"end\xc3", "end\xef\xbf\xbd"},
};

static void folds(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *folded = text_fold(cases[i].text);
        assert_non_null(folded);
        assert_string_equal(folded, cases[i].folded);
        char *again = text_fold(folded);
        assert_string_equal(again, folded);
        free(again);
        free(folded);
    }
}

static void long_text_folds_whole(void **state)
{
    (void)state;
    char text[3 * 5000 + 1], expected[2 * 5000 + 1];
    for (size_t i = 0; i < 5000; i++) {
        memcpy(text + 3 * i, "\xef\xac\x81", 3); /* one code point, two letters */
        memcpy(expected + 2 * i, "fi", 2);
    }
    text[sizeof text - 1] = '\0';
    expected[sizeof expected - 1] = '\0';
    char *folded = text_fold(text);
    assert_string_equal(folded, expected);
    free(folded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folds),
        cmocka_unit_test(long_text_folds_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
