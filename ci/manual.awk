# Reads the help of a program, and writes the files that ci/manual names. The help consists of
#   - "Usage: NAME ARGUMENTS", with or without a summary before it
#   - paragraphs, which begin at the margin
#   - "  TERM   MEANING", where the meaning may be in the lines below: TERM is an option, or something that the user types
#   - headings, which are lines at the margin that end with a colon. Indented lines below a heading that are no term are shown
#     unchanged

function troff(text) {
    gsub(/\\/, "\\e", text)
    gsub(/-/, "\\-", text)
    gsub(/'/, "\\(aq", text)
    gsub(/"/, "\\(dq", text)
    sub(/^\./, "\\\&.", text)
    return text
}
function shell(text) { gsub(/'/, "'\\''", text); return text }
function zsh_text(text) { gsub(/\[|\]|:|\\/, "\\\\&", text); return shell(text) }
function page(text) { print text > man }
function section(title) { if (title != current) page(".SH " title); current = title; gap = 0 }
function paragraph() { if (gap) page(".PP"); gap = 0 }
BEGIN {
    man = dir "/man/" name ".1"
    page(".TH " toupper(troff(name)) " 1 " date " cpg\\-tools")
    section("NAME")
    page(troff(name) " \\- " troff(summary))
}

/^Usage: / {
    usage = substr($0, length("Usage: " name) + 2)
    section("SYNOPSIS")
    page(".B " troff(name))
    page(troff(usage))
    section("DESCRIPTION")
    next
}

# The lines before the usage are the summary.
usage == "" { next }

/^$/ { if (shown) page(".EE"); shown = 0; gap = current != "DESCRIPTION" || described; term = ""; next }

# A heading.
/^[^ ].*:$/ && !/[,;]/ && NF <= 3 {
    example = /^Example/
    if (example) section("EXAMPLE")
    else if (/^Options/) section("OPTIONS")
    else page(".SS " troff(substr($0, 1, length($0) - 1)))
    gap = 0
    next
}

/^[^ ]/ { if (term != "") gap = 1; paragraph(); term = ""; described = 1; page(troff($0)); next }

example {
    if (!shown) { paragraph(); page(".EX"); shown = 1 }
    page(troff($0))
    next
}

# A term has at most six spaces before it. Its meaning follows after two or more spaces, or in the lines below, further indented.
match($0, /^ +/) && RLENGTH <= 6 {
    line = substr($0, RLENGTH + 1)
    end = match(line, /  +/)
    term = end ? substr(line, 1, end - 1) : line
    meaning = end ? substr(line, end + RLENGTH) : ""
    if (term ~ /^-/ && current != "OPTIONS") section("OPTIONS")
    gap = 0
    page(".TP")
    page(".B " troff(term))
    if (meaning != "") page(troff(meaning))
    remember(term, meaning)
    next
}

{
    sub(/^ +/, "")
    page(troff($0))
    more($0)
}

function remember(term, meaning,    words, n) {
    option = 0
    if (term ~ /^-/) {
        option = ++options
        short[option] = match(term, /^-[A-Za-z]/) ? substr(term, 2, 1) : ""
        match(term, /--[a-z-]+/)
        long[option] = substr(term, RSTART + 2, RLENGTH - 2)
        value[option] = match(term, /[A-Z]+$/) ? substr(term, RSTART) : ""
        meant[option] = meaning
    } else if (term ~ /^[a-z]/) {
        split(term, words, " ")
        commands = commands " " words[1]
    }
}
function more(text) { if (option && term != "") meant[option] = meant[option] (meant[option] == "" ? "" : " ") text }
function brief(text) { # the first clause of a text
    sub(/[:;.] .*$/, "", text)
    sub(/ \(.*$/, "", text)
    return text
}

END {
    if (shown) page(".EE")
    section("SEE ALSO")
    page(".BR corosync (8),")
    page(".BR cpg_overview (3)")
    if (match(usage, /^[a-z]+/)) commands = substr(usage, RSTART, RLENGTH) commands

    bash = dir "/bash/" name
    zsh = dir "/zsh/_" name
    fish = dir "/fish/" name ".fish"
    words = commands
    print "#compdef " name > zsh
    printf "_arguments" > zsh
    for (i = 1; i <= options; i++) {
        words = words " --" long[i]
        text = brief(meant[i])
        printf " \\\n    '--%s[%s]%s'", long[i], zsh_text(text), value[i] == "" ? "" : ":" value[i] ":" > zsh
        printf "complete -c %s -l %s%s%s -d '%s'\n", name, long[i], short[i] == "" ? "" : " -s " short[i], \
            value[i] == "" ? "" : " -x", shell(text) > fish
    }
    if (commands != "") {
        printf " \\\n    '1:command:(%s)' \\\n    '*::argument:_normal'", commands > zsh
        printf "complete -c %s -n __fish_use_subcommand -f -a '%s'\n", name, commands > fish
    }
    print "" > zsh
    sub(/^ /, "", words)
    f = "_" name
    gsub(/-/, "_", f)
    print f "() {\n    mapfile -t COMPREPLY < <(compgen -W '" words "' -- \"${COMP_WORDS[COMP_CWORD]}\")\n}" > bash
    print "complete -o default -F " f " " name > bash
}
