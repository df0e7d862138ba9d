/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The shells' part of completion. All three ask `ipcbox complete`, which is looked up in PATH:
 * never the command that is being written, which may be anybody's. What it answers ends with NUL,
 * word by word, the first being what the shell is to offer itself; no shell expands it.
 */
#include <errno.h>

#include "cli_internal.h"

static int finish(FILE *f)
{
    return ferror(f) ? -EIO : 0;
}

static void names(FILE *f, const struct cli_applet *const *applets)
{
    for (; *applets; applets++)
        fprintf(f, " %s", (*applets)->name);
}

int cli_write_bash(FILE *f, const struct cli_applet *const *applets)
{
    fputs("# bash completion for ipcbox and its applets\n\n"
          "_ipcbox() {\n"
          "  local found\n"
          "  mapfile -d '' -t found < <(command ipcbox complete --shell bash -- \\\n"
          "    \"${COMP_LINE:0:COMP_POINT}\" \"$2\" 2>/dev/null)\n"
          "  COMPREPLY=(\"${found[@]:1}\")\n"
          "  case ${found[0]-} in\n"
          "    file) compopt -o default ;;\n"
          "    dir) compopt -o dirnames ;;\n"
          "    command) mapfile -t COMPREPLY < <(compgen -c -- \"$2\" |\n"
          "      while IFS= read -r found; do printf '%q\\n' \"$found\"; done) ;;\n"
          "  esac\n"
          "}\n\n"
          "complete -F _ipcbox",
          f);
    names(f, applets);
    fputc('\n', f);
    return finish(f);
}

int cli_write_zsh(FILE *f, const struct cli_applet *const *applets)
{
    fputs("#compdef", f);
    names(f, applets);
    fputs("\n\n"
          "local -a found words_found listed\n"
          "local word shown\n"
          "found=(\"${(@0)$(command ipcbox complete --shell zsh -- \\\n"
          "  \"${(@Q)words[1,CURRENT-1]}\" \"${(Q)PREFIX}\" 2>/dev/null)}\")\n"
          "[[ $PREFIX == --*=* ]] && compset -P '--*='\n"
          "for word shown in \"${(@)found[2,-2]}\"; do\n"
          "  words_found+=(\"$word\")\n"
          "  listed+=(\"$shown\")\n"
          "done\n"
          "case ${found[1]} in\n"
          "  file) _files ;;\n"
          "  dir) _files -/ ;;\n"
          "  command) _command_names -e ;;\n"
          "  *) compadd -l -d listed -a -- words_found ;;\n"
          "esac\n",
          f);
    return finish(f);
}

int cli_write_fish(FILE *f, const struct cli_applet *const *applets)
{
    fputs("# fish completion for ipcbox and its applets\n\n"
          "function __ipcbox_complete\n"
          "    set -l token (commandline -ct | string collect)\n"
          "    set -l found (command ipcbox complete --shell fish -- \\\n"
          "        (commandline -opc) \"$token\" 2>/dev/null | string split0)\n"
          "    switch \"$found[1]\"\n"
          "        case file\n"
          "            __fish_complete_path $token\n"
          "        case dir\n"
          "            __fish_complete_directories $token\n"
          "        case command\n"
          "            __fish_complete_command\n"
          "        case '*'\n"
          "            set -q found[2]; and string join0 -- $found[2..] | string split0\n"
          "    end\n"
          "end\n\n"
          "for name in",
          f);
    names(f, applets);
    fputs("\n    complete -c $name -f -a '(__ipcbox_complete)'\nend\n", f);
    return finish(f);
}
