# SPDX-License-Identifier: Apache-2.0
# C source without its comments, texts and character constants, line for line, so that the other
# checks see code alone. With -v keep_text=1 texts stay and comments alone go.
{
    line = $0
    out = ""
    while (line != "") {
        if (in_comment) {
            end = index(line, "*/")
            if (!end)
                break
            line = substr(line, end + 2)
            in_comment = 0
            continue
        }
        two = substr(line, 1, 2)
        one = substr(line, 1, 1)
        if (two == "/*") {
            in_comment = 1
            out = out " "
            line = substr(line, 3)
        } else if (two == "//") {
            break
        } else if (one == "\"" || one == "'") {
            n = length(line)
            for (i = 2; i <= n; i++) {
                c = substr(line, i, 1)
                if (c == "\\")
                    i++
                else if (c == one)
                    break
            }
            out = out (keep_text ? substr(line, 1, i) : one one)
            line = substr(line, i + 1)
        } else {
            out = out one
            line = substr(line, 2)
        }
    }
    print out
}
