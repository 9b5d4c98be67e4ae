# Completion of outlive(1) for bash. Commands, options and columns are asked of the tool itself, so
# that they are never older than it.

# the words that the help of "$@" lists: commands without arguments, options with a command
_outlive_words() {
  "${COMP_WORDS[0]}" "$@" --help 2>/dev/null
}

_outlive_after_comma() {   # completes the last of a list: a,b,c
  local begin=''
  [[ $1 == *,* ]] && begin=${1%,*},
  mapfile -t COMPREPLY < <(compgen -P "$begin" -W "$2" -- "${1##*,}")
  compopt -o nospace 2>/dev/null
}

_outlive() {
  local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
  local command='' word path help
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    [[ $word == -- ]] && return   # a program of the user's follows
    [[ $word == -* || -n $command ]] || command=$word
  done
  if [[ -z $command ]]; then
    help=$(_outlive_words | sed -n '/^Subcommands:/,/^$/s/^  \([a-z][a-z-]*\) .*/\1/p')
    mapfile -t COMPREPLY < <(compgen -W "$help --help --version" -- "$current")
    return
  fi
  help=$(_outlive_words "$command")
  case $before in
    -o | --output)
      _outlive_after_comma "$current" \
        "$(sed -n 's/.*Columns: \([a-z_,]*\).*/\1/p' <<<"$help" | tr , ' ')"
      return
      ;;
    --repairs | --check | --keep)
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return
      ;;
  esac
  if [[ $current == -* ]]; then
    help=$(grep -oE '^  (-[a-zA-Z],)?--[a-z-]+' <<<"$help" | tr ',' ' ' | grep -oE '[-]-[a-z-]+')
    mapfile -t COMPREPLY < <(compgen -W "$help" -- "$current")
    return
  fi
  local names=()
  for path in /dev/shm/outlive.*; do
    [[ -e $path ]] && names+=("${path#/dev/shm/outlive.}")
  done
  COMPREPLY=()
  for word in "${names[@]}"; do
    [[ $word == "$current"* ]] && COMPREPLY+=("$(printf '%q' "$word")")
  done
}

complete -F _outlive outlive
