# Shared by tools/demo, tools/test and tools/bench: install what is missing, configure, build.
# Sourced by bash, not run.
#
# Everything here talks on stderr: stdout belongs to the program that is run in the end. Nothing is
# done twice: no package that is there is installed, no folder that is configured is configured
# again, and ninja builds what has changed.

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)

# One line a need: package, and what for. The lists of the three scripts are made of these.
packages_build='
g++          compiles the library
meson        configures the build
ninja-build  runs the build
pkg-config   finds libraries for meson
'
packages_test='
libgtest-dev   GoogleTest: unit and process tests
libgmock-dev   GoogleMock: matchers in the tests
clang          the second compiler that everything must pass
cmake          a test uses the installed library from CMake
python3        runs each test case in a process of its own
git            tests of the repository itself
codespell      looks for misspelled words in it
valgrind       counts instructions of the lock path
systemtap-sdt-dev  probes for bpftrace and perf
libunwind-dev  the kill-test kit reports the stack at which a victim was killed
libdw-dev      and its functions and source lines
libcli11-dev   the command-line tool reads its arguments
libfmt-dev     the command-line tool writes text
nlohmann-json3-dev  the command-line tool writes JSON
lcov           renders a report of the kill-test kit
chromium       looks at another one
spin           checks the models of the protocol
python3-pyte   a terminal for the test of outlive top
zsh            its completion is tested, too
prometheus     promtool checks what outlive metrics prints
systemd        systemd-analyze checks the example of a unit
scdoc          makes the man pages
mandoc         checks the man pages
groff-base     checks them, too
'
packages_bench='
libboost1.81-dev    Boost.Interprocess, one of the peers
nlohmann-json3-dev  writes the results
libunwind-dev       the kill-test kit, which is measured, too
libdw-dev           the same
libcli11-dev        its command line
python3             runs the count of instructions
valgrind            counts them
'

say() { printf '%s\n' "$*" >&2; }
fail() { say "${0##*/}: $*"; exit 1; }

# name_here PACKAGE: its name on this system, which is another one on Ubuntu 24.04; nothing if no
# package has it.
os_release=/etc/os-release
name_here() {
  case $(. "$os_release" 2>/dev/null && echo "${ID:-}")/$1 in
    # A snap there, which no container can install: the test that looks at a page with it is
    # skipped.
    ubuntu/chromium) ;;
    ubuntu/libboost1.81-dev) echo libboost1.83-dev ;;
    *) echo "$1" ;;
  esac
}

# install_missing LIST...: says which packages are missing and why each is needed, then installs
# them.
install_missing() {
  local package reason wanted=() missing=() reasons=()
  while read -r package reason; do
    [[ -n $package ]] || continue
    package=$(name_here "$package")
    [[ -n $package ]] || continue
    wanted+=("$package")
    # The status is asked for each by itself: a name that dpkg has never heard of makes the whole
    # call fail.
    if ! dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed; then
      missing+=("$package")
      reasons+=("$(printf '  %-20s %s' "$package" "$reason")")
    fi
  done <<<"$*"
  ((${#missing[@]})) || return 0

  if ! command -v apt-get >/dev/null; then
    say "This is no Debian: its package names are not known here." \
      "Needed are, as Debian calls them: ${wanted[*]}"
    return 0
  fi
  say "These packages are missing, and are installed now:"
  printf '%s\n' "${reasons[@]}" >&2
  local as_root=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null || fail "neither root nor sudo here; run as root:" \
      "apt-get install --no-install-recommends ${missing[*]}"
    as_root=(sudo)
  fi
  "${as_root[@]}" apt-get update >&2 || fail "apt-get update failed"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends "${missing[@]}" >&2 ||
    fail "apt-get install failed: ${missing[*]}"
}

# package_state: which of the packages in the lists are installed, with their versions. What meson
# finds depends on them.
package_state() {
  command -v dpkg-query >/dev/null || return 0
  local names
  names=$(awk 'NF { print $1 }' <<<"$packages_build$packages_test$packages_bench" | sort -u)
  # A word for each package. dpkg complains about a name that it has never heard of.
  # shellcheck disable=SC2086
  { dpkg-query -W -f '${db:Status-Status} ${Package}=${Version}\n' $names 2>/dev/null || true; } |
    awk '$1 == "installed" { printf "%s ", $2 }'
}

# configure NAME COMPILER [MESON-OPTION...]: build/NAME, configured with these options and no
# others.
configure() {
  local name=$1 compiler=$2 folder=$root/build/$1
  shift 2
  # Without dpkg-dev meson takes Debian for a system that has its libraries in lib64, where nothing
  # looks for them.
  local multiarch
  multiarch=$("$compiler" -print-multiarch 2>/dev/null) && [[ -n $multiarch ]] &&
    set -- "-Dlibdir=lib/$multiarch" "$@"
  local base="$compiler for $root" state known=()
  state=$(package_state)
  if [[ -f $folder/build.ninja && -f $folder/outlive-options ]]; then
    mapfile -t known <"$folder/outlive-options"
  fi
  [[ ${known[0]:-} == "$base" && ${known[1]:-} == "$*" && ${known[2]:-} == "$state" ]] && return 0
  say "Configuring build/$name ($compiler)"
  if [[ ${known[0]:-} == "$base" ]]; then
    # meson keeps what it once did not find, and neither --reconfigure nor --clearcache (1.0) asks
    # again for a header. So all that it knows goes. The objects stay: ninja compiles what has
    # another command now.
    rm -rf -- "$folder/meson-private" "$folder/meson-info" "$folder/outlive-options"
  else
    # A folder of another compiler, or of a checkout that has moved, is of no use.
    rm -rf -- "$folder"
  fi
  mkdir -p -- "$root/build"
  CXX=$compiler meson setup "$folder" "$root" "$@" >&2 ||
    fail "meson could not configure build/$name"
  printf '%s\n' "$base" "$*" "$state" >"$folder/outlive-options"
}

# is_configured NAME: by whichever script, with whichever options.
is_configured() {
  [[ -f $root/build/$1/build.ninja ]] &&
    [[ $(head -n 1 "$root/build/$1/outlive-options" 2>/dev/null) == *" for $root" ]]
}

# build NAME [TARGET...]: with ninja's progress line.
build() {
  local name=$1
  shift
  say "Building build/$name"
  ninja -C "$root/build/$name" "$@" >&2 || fail "the build of build/$name failed"
}

print_help() { sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0"; }
