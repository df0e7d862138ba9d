# bash completion for ipcbox and its applets

# Queue names that are visible here.
_ipcbox_queues() {
  local q
  for q in /dev/mqueue/*; do [ -e "$q" ] && printf '%s\n' "/${q##*/}"; done
}

# Fills COMPREPLY from what an applet's function found: $words, $kind, $opts, $operand.
_ipcbox_reply() {
  if [ -z "$words$kind" ]; then
    case $cur in -*) words=$opts ;; *) kind=$operand ;; esac
  elif [ -n "$operand" ] && [ -z "$kind" ] && [ -z "$verb" ]; then
    case $cur in -*) words=$opts ;; /*) kind=$operand ;; esac
  fi
  case $kind in
    file) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    dir) mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
    command) mapfile -t COMPREPLY < <(compgen -c -- "$cur") ;;
    queue) mapfile -t COMPREPLY < <(compgen -W "$(_ipcbox_queues)" -- "$cur") ;;
    pid) mapfile -t COMPREPLY < <(compgen -W "$(cd /proc && echo [0-9]*)" -- "$cur") ;;
    *) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur") ;;
  esac
}

_ipcbox_b1ctl() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
  local verb='' opts='' operand='' words='' kind='' w i
  for ((i = ${1:-1}; i < COMP_CWORD; i++)); do
    w=${COMP_WORDS[i]}
    case $w in
      -*) ;;
      *) verb=$w; break ;;
    esac
  done
  case $verb in
    shell)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color -c --command --device '
      operand=''
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        -c|--command) words=''; kind='' ;;
        --device) words=''; kind='file' ;;
      esac ;;
    run)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --device '
      operand='file'
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        --device) words=''; kind='file' ;;
      esac ;;
    serve)
      opts='-q --quiet -h --help --version --max-peers --max-nodes --max-handles --max-messages --max-bytes --max-message --like-rfc '
      operand='file'
      case $prev in
        --max-peers) words=''; kind='' ;;
        --max-nodes) words=''; kind='' ;;
        --max-handles) words=''; kind='' ;;
        --max-messages) words=''; kind='' ;;
        --max-bytes) words=''; kind='' ;;
        --max-message) words=''; kind='' ;;
      esac ;;
    list)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color '
      operand=''
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
      esac ;;
    graph)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --dot '
      operand=''
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
      esac ;;
    send)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --fd --pid -f --file '
      operand=''
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        --fd) words=''; kind='' ;;
        --pid) words=''; kind='pid' ;;
        -f|--file) words=''; kind='file' ;;
      esac ;;
    recv)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --fd --pid -N --count --timeout --raw '
      operand=''
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        --fd) words=''; kind='' ;;
        --pid) words=''; kind='pid' ;;
        -N|--count) words=''; kind='' ;;
        --timeout) words=''; kind='' ;;
      esac ;;
    peek)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --fd --pid '
      operand=''
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        --fd) words=''; kind='' ;;
        --pid) words=''; kind='pid' ;;
      esac ;;
    monitor)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --pid --device -N --count --timeout -m --max-bytes '
      operand='command'
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        --pid) words=''; kind='pid' ;;
        --device) words=''; kind='file' ;;
        -N|--count) words=''; kind='' ;;
        --timeout) words=''; kind='' ;;
        -m|--max-bytes) words=''; kind='' ;;
      esac ;;
    dump)
      opts='-q --quiet -h --help --version -O --output-file --device --backend -N --count --duration '
      operand=''
      case $prev in
        -O|--output-file) words=''; kind='file' ;;
        --device) words=''; kind='file' ;;
        --backend) words='auto bus calls'; kind='' ;;
        -N|--count) words=''; kind='' ;;
        --duration) words=''; kind='' ;;
      esac ;;
    replay)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --device --speed --dry-run '
      operand='file'
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        --device) words=''; kind='file' ;;
        --speed) words=''; kind='' ;;
      esac ;;
    *)
      words='shell run serve list graph send recv peek monitor dump replay '
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color -c --command --device '
      operand='' ;;
  esac
  _ipcbox_reply
}
_ipcbox_fdpeek() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
  local verb='' opts='' operand='' words='' kind='' w i
  for ((i = ${1:-1}; i < COMP_CWORD; i++)); do
    w=${COMP_WORDS[i]}
    case $w in
      -*) ;;
      *) verb=$w; break ;;
    esac
  done
  case $verb in /*|[0-9]*|@*|socket:*|pipe:*) verb=peek ;; esac
  case $verb in
    list)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --backend -p --pid -a --all '
      operand=''
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        --backend) words=''; kind='' ;;
        -p|--pid) words=''; kind='pid' ;;
      esac ;;
    peek)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --backend --peer --decode -n --count -m --max-bytes --hex --text --raw '
      operand='pid'
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        --backend) words=''; kind='' ;;
        --decode) words='auto dbus varlink none'; kind='' ;;
        -n|--count) words=''; kind='' ;;
        -m|--max-bytes) words=''; kind='' ;;
      esac ;;
    info)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --backend '
      operand='pid'
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        --backend) words=''; kind='' ;;
      esac ;;
    follow)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --backend -a --all --path --decode --match -O --output-file -N --count --timeout -m --max-bytes '
      operand='pid'
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        --backend) words=''; kind='' ;;
        --path) words=''; kind='file' ;;
        --decode) words='auto dbus varlink none'; kind='' ;;
        --match) words=''; kind='' ;;
        -O|--output-file) words=''; kind='file' ;;
        -N|--count) words=''; kind='' ;;
        --timeout) words=''; kind='' ;;
        -m|--max-bytes) words=''; kind='' ;;
      esac ;;
    *)
      words='list peek info follow '
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --backend -p --pid -a --all '
      operand='pid' ;;
  esac
  _ipcbox_reply
}
_ipcbox_ipcbox() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
  local verb='' opts='' operand='' words='' kind='' w i
  for ((i = ${1:-1}; i < COMP_CWORD; i++)); do
    w=${COMP_WORDS[i]}
    case $w in
      -*) ;;
      *) verb=$w; break ;;
    esac
  done
  case $verb in
    doctor)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color '
      operand=''
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
      esac ;;
    install)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color '
      operand='dir'
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
      esac ;;
    run)
      opts='-q --quiet -h --help --version --only --mq-syscall --allow-drain --bus -v --verbose '
      operand='command'
      case $prev in
        --only) words=''; kind='' ;;
        --mq-syscall) words=''; kind='' ;;
        --bus) words=''; kind='file' ;;
      esac ;;
    *)
      words='doctor install run '
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color '
      operand='' ;;
  esac
  _ipcbox_reply
}
_ipcbox_mqctl() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
  local verb='' opts='' operand='' words='' kind='' w i
  for ((i = ${1:-1}; i < COMP_CWORD; i++)); do
    w=${COMP_WORDS[i]}
    case $w in
      -*) ;;
      *) verb=$w; break ;;
    esac
  done
  case $verb in
    create)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --maxmsg --msgsize --mode --sysv --key --limit --exist-ok '
      operand=''
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        --maxmsg) words=''; kind='' ;;
        --msgsize) words=''; kind='' ;;
        --mode) words=''; kind='' ;;
        --key) words=''; kind='' ;;
        --limit) words=''; kind='' ;;
      esac ;;
    send)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color -p --priority --type -f --file -l --lines -t --timeout '
      operand='queue'
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        -p|--priority) words=''; kind='' ;;
        --type) words=''; kind='' ;;
        -f|--file) words=''; kind='file' ;;
        -t|--timeout) words=''; kind='' ;;
      esac ;;
    recv)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color -N --count -f --follow -t --timeout -l --lines --raw --type '
      operand='queue'
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        -N|--count) words=''; kind='' ;;
        -t|--timeout) words=''; kind='' ;;
        --type) words=''; kind='' ;;
      esac ;;
    wait)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --message --room --empty -t --timeout '
      operand='queue'
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        -t|--timeout) words=''; kind='' ;;
      esac ;;
    set)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --owner --group --mode --limit '
      operand='queue'
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        --owner) words=''; kind='' ;;
        --group) words=''; kind='' ;;
        --mode) words=''; kind='' ;;
        --limit) words=''; kind='' ;;
      esac ;;
    rm)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color '
      operand='queue'
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
      esac ;;
    *)
      words='create send recv wait set rm '
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color '
      operand='' ;;
  esac
  _ipcbox_reply
}
_ipcbox_mqdump() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
  local verb='' opts='' operand='' words='' kind='' w i
  for ((i = ${1:-1}; i < COMP_CWORD; i++)); do
    w=${COMP_WORDS[i]}
    case $w in
      -*) ;;
      *) verb=$w; break ;;
    esac
  done
  case $verb in
    save)
      opts='-q --quiet -h --help --version --backend --max-snapshot --mq-syscall -O --output-file -a --all -A --all-namespaces --pid --force '
      operand='queue'
      case $prev in
        --backend) words=''; kind='' ;;
        --max-snapshot) words=''; kind='' ;;
        --mq-syscall) words=''; kind='' ;;
        -O|--output-file) words=''; kind='file' ;;
        --pid) words=''; kind='pid' ;;
      esac ;;
    restore)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --backend --max-snapshot --mq-syscall --rename --replace --append --dry-run --partial --namespace --timeout --recover '
      operand='file'
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        --backend) words=''; kind='' ;;
        --max-snapshot) words=''; kind='' ;;
        --mq-syscall) words=''; kind='' ;;
        --rename) words=''; kind='' ;;
        --namespace) words=''; kind='' ;;
        --timeout) words=''; kind='' ;;
      esac ;;
    show)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --backend --max-snapshot --mq-syscall --messages '
      operand='file'
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        --backend) words=''; kind='' ;;
        --max-snapshot) words=''; kind='' ;;
        --mq-syscall) words=''; kind='' ;;
      esac ;;
    verify)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --backend --max-snapshot --mq-syscall '
      operand='file'
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        --backend) words=''; kind='' ;;
        --max-snapshot) words=''; kind='' ;;
        --mq-syscall) words=''; kind='' ;;
      esac ;;
    seal)
      opts='-q --quiet -h --help --version --backend --max-snapshot --mq-syscall -O --output-file --partial '
      operand='file'
      case $prev in
        --backend) words=''; kind='' ;;
        --max-snapshot) words=''; kind='' ;;
        --mq-syscall) words=''; kind='' ;;
        -O|--output-file) words=''; kind='file' ;;
      esac ;;
    record)
      opts='-q --quiet -h --help --version --backend --max-snapshot --mq-syscall -O --output-file --duration -N --count '
      operand='queue'
      case $prev in
        --backend) words=''; kind='' ;;
        --max-snapshot) words=''; kind='' ;;
        --mq-syscall) words=''; kind='' ;;
        -O|--output-file) words=''; kind='file' ;;
        --duration) words=''; kind='' ;;
        -N|--count) words=''; kind='' ;;
      esac ;;
    replay)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --backend --max-snapshot --mq-syscall --to --speed --only --loop --timeout --dry-run '
      operand='file'
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        --backend) words=''; kind='' ;;
        --max-snapshot) words=''; kind='' ;;
        --mq-syscall) words=''; kind='' ;;
        --to) words=''; kind='queue' ;;
        --speed) words=''; kind='' ;;
        --only) words='send all'; kind='' ;;
        --loop) words=''; kind='' ;;
        --timeout) words=''; kind='' ;;
      esac ;;
    criu)
      opts='-q --quiet -h --help --version --backend --max-snapshot --mq-syscall -D --images-dir --replace --criu --mount '
      operand=''
      case $prev in
        --backend) words=''; kind='' ;;
        --max-snapshot) words=''; kind='' ;;
        --mq-syscall) words=''; kind='' ;;
        -D|--images-dir) words=''; kind='dir' ;;
        --criu) words=''; kind='file' ;;
        --mount) words=''; kind='' ;;
      esac ;;
    *)
      words='save restore show verify seal record replay criu '
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --backend --max-snapshot --mq-syscall '
      operand='' ;;
  esac
  _ipcbox_reply
}
_ipcbox_mqpeek() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
  local verb='' opts='' operand='' words='' kind='' w i
  for ((i = ${1:-1}; i < COMP_CWORD; i++)); do
    w=${COMP_WORDS[i]}
    case $w in
      -*) ;;
      *) verb=$w; break ;;
    esac
  done
  case $verb in /*|pid:*|sysv:*|key:*) verb=peek ;; esac
  case $verb in
    list)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --backend --max-snapshot --mq-syscall -A --all-namespaces -p --pid --orphans --nonempty --posix --sysv -s --sort '
      operand=''
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        --backend) words=''; kind='' ;;
        --max-snapshot) words=''; kind='' ;;
        --mq-syscall) words=''; kind='' ;;
        -p|--pid) words=''; kind='pid' ;;
        -s|--sort) words=''; kind='' ;;
      esac ;;
    peek)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --backend --max-snapshot --mq-syscall -n --count -i --index -p --priority --type -m --max-bytes --hex --text --raw --force '
      operand='queue'
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        --backend) words=''; kind='' ;;
        --max-snapshot) words=''; kind='' ;;
        --mq-syscall) words=''; kind='' ;;
        -n|--count) words=''; kind='' ;;
        -i|--index) words=''; kind='' ;;
        -p|--priority) words=''; kind='' ;;
        --type) words=''; kind='' ;;
        -m|--max-bytes) words=''; kind='' ;;
      esac ;;
    info)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --backend --max-snapshot --mq-syscall '
      operand='queue'
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        --backend) words=''; kind='' ;;
        --max-snapshot) words=''; kind='' ;;
        --mq-syscall) words=''; kind='' ;;
      esac ;;
    follow)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --backend --max-snapshot --mq-syscall -a --all --send --recv --pid -p --priority -N --count --timeout -m --max-bytes '
      operand='queue'
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        --backend) words=''; kind='' ;;
        --max-snapshot) words=''; kind='' ;;
        --mq-syscall) words=''; kind='' ;;
        --pid) words=''; kind='pid' ;;
        -p|--priority) words=''; kind='' ;;
        -N|--count) words=''; kind='' ;;
        --timeout) words=''; kind='' ;;
        -m|--max-bytes) words=''; kind='' ;;
      esac ;;
    top)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --backend --max-snapshot --mq-syscall -b --batch -d --delay -N --count --sort -r --reverse --filter --rates '
      operand=''
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        --backend) words=''; kind='' ;;
        --max-snapshot) words=''; kind='' ;;
        --mq-syscall) words=''; kind='' ;;
        -d|--delay) words=''; kind='' ;;
        -N|--count) words=''; kind='' ;;
        --sort) words='fill name depth in out blocked wait'; kind='' ;;
        --filter) words=''; kind='' ;;
        --rates) words='auto counted sampled'; kind='' ;;
      esac ;;
    limits)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --backend --max-snapshot --mq-syscall --exact '
      operand=''
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        --backend) words=''; kind='' ;;
        --max-snapshot) words=''; kind='' ;;
        --mq-syscall) words=''; kind='' ;;
      esac ;;
    metrics)
      opts='-q --quiet -h --help --version --backend --max-snapshot --mq-syscall -A --all-namespaces -O --output-file '
      operand=''
      case $prev in
        --backend) words=''; kind='' ;;
        --max-snapshot) words=''; kind='' ;;
        --mq-syscall) words=''; kind='' ;;
        -O|--output-file) words=''; kind='file' ;;
      esac ;;
    recover)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --backend --max-snapshot --mq-syscall --force '
      operand='queue'
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        --backend) words=''; kind='' ;;
        --max-snapshot) words=''; kind='' ;;
        --mq-syscall) words=''; kind='' ;;
      esac ;;
    *)
      words='list peek info follow top limits metrics recover '
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --backend --max-snapshot --mq-syscall -A --all-namespaces -p --pid --orphans --nonempty --posix --sysv -s --sort '
      operand='queue' ;;
  esac
  _ipcbox_reply
}
_ipcbox_uringipc() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
  local verb='' opts='' operand='' words='' kind='' w i
  for ((i = ${1:-1}; i < COMP_CWORD; i++)); do
    w=${COMP_WORDS[i]}
    case $w in
      -*) ;;
      *) verb=$w; break ;;
    esac
  done
  case $verb in /*|pid:*) verb=peek ;; esac
  case $verb in
    list)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --backend '
      operand=''
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        --backend) words=''; kind='' ;;
      esac ;;
    create)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --backend -k --key --broadcast --multicast -n --entries -s --size -m --mode -d --detach -p --pid-file '
      operand=''
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        --backend) words=''; kind='' ;;
        -k|--key) words=''; kind='' ;;
        -n|--entries) words=''; kind='' ;;
        -s|--size) words=''; kind='' ;;
        -m|--mode) words=''; kind='' ;;
        -p|--pid-file) words=''; kind='file' ;;
      esac ;;
    send)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --backend -f --file -l --lines -t --timeout --target --user-data '
      operand=''
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        --backend) words=''; kind='' ;;
        -f|--file) words=''; kind='file' ;;
        -t|--timeout) words=''; kind='' ;;
        --target) words=''; kind='' ;;
        --user-data) words=''; kind='' ;;
      esac ;;
    recv)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --backend -N --count -f --follow -t --timeout -l --lines --raw '
      operand=''
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        --backend) words=''; kind='' ;;
        -N|--count) words=''; kind='' ;;
        -t|--timeout) words=''; kind='' ;;
      esac ;;
    peek)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --backend -n --count -m --max-bytes -a --all --hex --raw '
      operand=''
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        --backend) words=''; kind='' ;;
        -n|--count) words=''; kind='' ;;
        -m|--max-bytes) words=''; kind='' ;;
      esac ;;
    monitor)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --backend -N --count -t --timeout -b --backlog '
      operand=''
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        --backend) words=''; kind='' ;;
        -N|--count) words=''; kind='' ;;
        -t|--timeout) words=''; kind='' ;;
      esac ;;
    info)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --backend '
      operand=''
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        --backend) words=''; kind='' ;;
      esac ;;
    dump)
      opts='-q --quiet -h --help --version --backend -O --output-file -f --follow -N --count -t --timeout '
      operand=''
      case $prev in
        --backend) words=''; kind='' ;;
        -O|--output-file) words=''; kind='file' ;;
        -N|--count) words=''; kind='' ;;
        -t|--timeout) words=''; kind='' ;;
      esac ;;
    replay)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --backend --to --speed -t --timeout --dry-run '
      operand='file'
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        --backend) words=''; kind='' ;;
        --to) words=''; kind='' ;;
        --speed) words=''; kind='' ;;
        -t|--timeout) words=''; kind='' ;;
      esac ;;
    destroy)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --backend --force '
      operand=''
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        --backend) words=''; kind='' ;;
      esac ;;
    bench)
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --backend -r --runs --quick '
      operand=''
      case $prev in
        -o|--output) words=''; kind='' ;;
        --color) words='auto always never'; kind='' ;;
        --backend) words=''; kind='' ;;
        -r|--runs) words=''; kind='' ;;
      esac ;;
    *)
      words='list create send recv peek monitor info dump replay destroy bench '
      opts='-q --quiet -h --help --version -J --json --jsonl -o --output --noheadings --color --backend '
      operand='' ;;
  esac
  _ipcbox_reply
}

# As an argument of ipcbox an applet's words begin one later.
_ipcbox() {
  case ${COMP_CWORD}:${COMP_WORDS[1]} in
    1:*) ;;
    *:b1ctl) _ipcbox_b1ctl 2; return ;;
    *:fdpeek) _ipcbox_fdpeek 2; return ;;
    *:mqctl) _ipcbox_mqctl 2; return ;;
    *:mqdump) _ipcbox_mqdump 2; return ;;
    *:mqpeek) _ipcbox_mqpeek 2; return ;;
    *:uringipc) _ipcbox_uringipc 2; return ;;
  esac
  _ipcbox_ipcbox
  [ "$COMP_CWORD" = 1 ] && mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W 'b1ctl fdpeek mqctl mqdump mqpeek uringipc ' -- "${COMP_WORDS[1]}")
}

complete -F _ipcbox_b1ctl b1ctl
complete -F _ipcbox_fdpeek fdpeek
complete -F _ipcbox ipcbox
complete -F _ipcbox_mqctl mqctl
complete -F _ipcbox_mqdump mqdump
complete -F _ipcbox_mqpeek mqpeek
complete -F _ipcbox_uringipc uringipc
