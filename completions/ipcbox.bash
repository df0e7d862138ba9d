# bash completion for ipcbox and its applets

_ipcbox() {
  local found
  mapfile -d '' -t found < <(command ipcbox complete --shell bash -- \
    "${COMP_LINE:0:COMP_POINT}" "$2" 2>/dev/null)
  COMPREPLY=("${found[@]:1}")
  case ${found[0]-} in
    file) compopt -o default ;;
    dir) compopt -o dirnames ;;
    command) mapfile -t COMPREPLY < <(compgen -c -- "$2" |
      while IFS= read -r found; do printf '%q\n' "$found"; done) ;;
  esac
}

complete -F _ipcbox b1ctl fdpeek ipcbox mqctl mqdump mqpeek uringipc
