# SPDX-License-Identifier: Apache-2.0
# bash completion of dcbscp and dcbtool, installed under both names. Commands, options and the words
# an option takes are those of the program's own --help, so nothing here gets out of date.

# The flags in --help's text on standard input, one a line.
__dcb_flags() { grep -oE -- '(^|[ [,|])--?[a-z][a-z-]*' | grep -oE -- '--?[a-z][a-z-]*' | sort -u; }

# The words that --help ($1) gives for a flag ($2), as in "--syntax htj2k|explicit".
__dcb_values() {
  grep -oE -- "(^|[ [])$2 [a-z0-9]+(\|[a-z0-9]+)+" <<<"$1" | head -n 1 | sed 's/.* //' | tr '|' '\n'
}

__dcb_reply() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen "$@")
}

_dcbscp() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} help values
  help=$("${COMP_WORDS[0]}" --help 2>/dev/null) || return
  help=${help%%$'\n\n'Only in*}
  values=$(__dcb_values "$help" "$before")
  if [ -n "$values" ]; then
    __dcb_reply -W "$values" -- "$word"
  elif [[ $before == -c ]]; then
    __dcb_reply -f -- "$word"
  elif grep -qE -- "^ +$before DIR" <<<"$help"; then
    __dcb_reply -d -- "$word"
  elif [[ $before == --* ]] && grep -qE -- "^ +$before [A-Z]+" <<<"$help"; then
    COMPREPLY=() # a value that only the user knows
  else
    __dcb_reply -W "$(__dcb_flags <<<"$help")" -- "$word"
  fi
}

_dcbtool() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} help values about
  help=$("${COMP_WORDS[0]}" --help 2>/dev/null) || return
  if [ "$COMP_CWORD" = 1 ]; then
    __dcb_reply -W "$(sed -nE 's/^(Usage:|      ) dcbtool ([a-z]+).*/\2/p' <<<"$help" | sort -u)
      --help --version" -- "$word"
    return
  fi
  # The command's lines of the synopsis, and its paragraph.
  about=$(awk -v command="${COMP_WORDS[1]}" '
    /^$/ { synopsis = paragraph = 0; body = 1 }
    !body && / dcbtool [a-z]/ { synopsis = $0 ~ " dcbtool " command "( |$)" }
    body && $1 == command && /^[a-z]/ { paragraph = 1 }
    (!body && synopsis) || paragraph' <<<"$help")
  values=$(__dcb_values "$about" "$before")
  if [ -n "$values" ]; then
    __dcb_reply -W "$values" -- "$word"
  elif [[ $word == -* ]]; then
    __dcb_reply -W "$(__dcb_flags <<<"$about")" -- "$word"
  else
    __dcb_reply -f -- "$word"
  fi
}

complete -o filenames -F _dcbscp dcbscp
complete -o filenames -F _dcbtool dcbtool
