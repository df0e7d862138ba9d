/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Completions for three shells, from the tables. */
#include <errno.h>
#include <string.h>

#include "cli_internal.h"

/* Calls @each for every option of a verb (or, without one, of the applet), in the order of help. */
static void each_option(const struct cli_applet *applet, const struct cli_verb *verb,
                        void (*each)(FILE *f, const struct cli_opt *opt), FILE *f)
{
    for (enum cli_group g = 0; g < GROUP_MAX; g++)
        for (const struct cli_opt *o = cli_group(applet, verb, g); o->type != CLI_TYPE_END; o++)
            each(f, o);
}

/* Inside '…': a quote ends the string, is written, and begins it again. */
static void quoted(FILE *f, const char *s)
{
    for (; *s; s++)
        if (*s == '\'')
            fputs("'\\''", f);
        else
            fputc(*s, f);
}

static const char *complete_word(enum cli_complete c)
{
    switch (c) {
    case CLI_COMPLETE_FILE:
        return "file";
    case CLI_COMPLETE_DIR:
        return "dir";
    case CLI_COMPLETE_QUEUE:
        return "queue";
    case CLI_COMPLETE_PID:
        return "pid";
    case CLI_COMPLETE_COMMAND:
        return "command";
    case CLI_COMPLETE_NONE:
        break;
    }
    return "";
}

/* ---- bash ---- */

static void bash_option(FILE *f, const struct cli_opt *o)
{
    if (o->short_name)
        fprintf(f, "-%c ", o->short_name);
    fprintf(f, "--%s ", o->name);
}

/* A case for an option with an argument: what its argument may be. */
static void bash_argument(FILE *f, const struct cli_opt *o)
{
    if (!cli_metavar(o))
        return;
    fputs("        ", f);
    if (o->short_name)
        fprintf(f, "-%c|", o->short_name);
    fprintf(f, "--%s) words='", o->name);
    for (size_t i = 0; o->choices && o->choices[i]; i++)
        fprintf(f, "%s%s", i ? " " : "", o->choices[i]);
    fprintf(f, "'; kind='%s' ;;\n", complete_word(o->complete));
}

static void bash_verb(FILE *f, const struct cli_applet *applet, const struct cli_verb *v)
{
    fprintf(f, "    %s)\n      opts='", v->name);
    each_option(applet, v, bash_option, f);
    fprintf(f, "'\n      operand='%s'\n      case $prev in\n", complete_word(v->complete));
    each_option(applet, v, bash_argument, f);
    fputs("      esac ;;\n", f);
}

/* For bash and zsh: a first word that is an operand stands for the verb that takes it. */
static void operand_case(FILE *f, const struct cli_applet *applet)
{
    const char *const *patterns = cli_operand_patterns(applet);

    fputs("  case $verb in ", f);
    for (const char *const *p = patterns; *p; p++) {
        fputs(p == patterns ? "" : "|", f);
        fputs(*p, f);
    }
    fprintf(f, ") verb=%s ;; esac\n", applet->operand_verb->name);
}

static void bash_applet(FILE *f, const struct cli_applet *applet)
{
    fprintf(f,
            "_ipcbox_%s() {\n"
            "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
            "  local verb='' opts='' operand='' words='' kind='' w i\n"
            "  for ((i = ${1:-1}; i < COMP_CWORD; i++)); do\n"
            "    w=${COMP_WORDS[i]}\n"
            "    case $w in\n"
            "      -*) ;;\n"
            "      *) verb=$w; break ;;\n"
            "    esac\n"
            "  done\n",
            applet->name);
    if (applet->operand_verb)
        operand_case(f, applet);
    fputs("  case $verb in\n", f);
    for (size_t i = 0; applet->verbs[i]; i++)
        bash_verb(f, applet, applet->verbs[i]);
    fputs("    *)\n      words='", f);
    for (size_t i = 0; applet->verbs[i]; i++)
        fprintf(f, "%s ", applet->verbs[i]->name);
    fputs("'\n      opts='", f);
    each_option(applet, applet->default_verb, bash_option, f);
    fprintf(f, "'\n      operand='%s' ;;\n  esac\n",
            applet->operand_verb ? complete_word(applet->operand_verb->complete) : "");
    fputs("  _ipcbox_reply\n}\n", f);
}

int cli_write_bash(FILE *f, const struct cli_applet *const *applets)
{
    fputs(
        "# bash completion for ipcbox and its applets\n\n"
        "# Queue names that are visible here.\n"
        "_ipcbox_queues() {\n"
        "  local q\n"
        "  for q in /dev/mqueue/*; do [ -e \"$q\" ] && printf '%s\\n' \"/${q##*/}\"; done\n"
        "}\n\n"
        "# Fills COMPREPLY from what an applet's function found: $words, $kind, $opts, $operand.\n"
        "_ipcbox_reply() {\n"
        "  if [ -z \"$words$kind\" ]; then\n"
        "    case $cur in -*) words=$opts ;; *) kind=$operand ;; esac\n"
        "  elif [ -n \"$operand\" ] && [ -z \"$kind\" ] && [ -z \"$verb\" ]; then\n"
        "    case $cur in -*) words=$opts ;; /*) kind=$operand ;; esac\n"
        "  fi\n"
        "  case $kind in\n"
        "    file) mapfile -t COMPREPLY < <(compgen -f -- \"$cur\") ;;\n"
        "    dir) mapfile -t COMPREPLY < <(compgen -d -- \"$cur\") ;;\n"
        "    command) mapfile -t COMPREPLY < <(compgen -c -- \"$cur\") ;;\n"
        "    queue) mapfile -t COMPREPLY < <(compgen -W \"$(_ipcbox_queues)\" -- \"$cur\") ;;\n"
        "    pid) mapfile -t COMPREPLY < <(compgen -W \"$(cd /proc && echo [0-9]*)\" -- \"$cur\") "
        ";;\n"
        "    *) mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\") ;;\n"
        "  esac\n"
        "}\n\n",
        f);
    for (size_t i = 0; applets[i]; i++)
        bash_applet(f, applets[i]);
    fputs("\n# As an argument of ipcbox an applet's words begin one later.\n"
          "_ipcbox() {\n"
          "  case ${COMP_CWORD}:${COMP_WORDS[1]} in\n"
          "    1:*) ;;\n",
          f);
    for (size_t i = 0; applets[i]; i++)
        if (strcmp(applets[i]->name, "ipcbox"))
            fprintf(f, "    *:%s) _ipcbox_%s 2; return ;;\n", applets[i]->name, applets[i]->name);
    fputs("  esac\n  _ipcbox_ipcbox\n"
          "  [ \"$COMP_CWORD\" = 1 ] && mapfile -t -O \"${#COMPREPLY[@]}\" COMPREPLY < <(compgen "
          "-W '",
          f);
    for (size_t i = 0; applets[i]; i++)
        if (strcmp(applets[i]->name, "ipcbox"))
            fprintf(f, "%s ", applets[i]->name);
    fputs("' -- \"${COMP_WORDS[1]}\")\n}\n\n", f);
    for (size_t i = 0; applets[i]; i++)
        fprintf(f, "complete -F _ipcbox%s%s %s\n", strcmp(applets[i]->name, "ipcbox") ? "_" : "",
                strcmp(applets[i]->name, "ipcbox") ? applets[i]->name : "", applets[i]->name);
    return ferror(f) ? -EIO : 0;
}

/* ---- zsh ---- */

/* In a specification of _arguments brackets and colons mean something. */
static void zsh_text(FILE *f, const char *s)
{
    for (; *s; s++) {
        if (strchr("[]:\\", *s))
            fputc('\\', f);
        if (*s == '\'')
            fputs("'\\''", f);
        else
            fputc(*s, f);
    }
}

static const char *zsh_action(enum cli_complete c)
{
    switch (c) {
    case CLI_COMPLETE_FILE:
        return "_files";
    case CLI_COMPLETE_DIR:
        return "_files -/";
    case CLI_COMPLETE_QUEUE:
        return "_ipcbox_queues";
    case CLI_COMPLETE_PID:
        return "_pids";
    case CLI_COMPLETE_COMMAND:
        return "_command_names -e";
    case CLI_COMPLETE_NONE:
        break;
    }
    return " ";
}

static void zsh_option(FILE *f, const struct cli_opt *o)
{
    const char *metavar = cli_metavar(o);

    for (int form = o->short_name ? 0 : 1; form < 2; form++) {
        if (form == 0)
            fprintf(f, "        '-%c[", o->short_name);
        else
            fprintf(f, "        '--%s%s[", o->name, metavar ? "=" : "");
        zsh_text(f, o->help);
        fputc(']', f);
        if (metavar) {
            fputc(':', f);
            zsh_text(f, metavar);
            if (o->choices) {
                fputs(":(", f);
                for (size_t i = 0; o->choices[i]; i++)
                    fprintf(f, "%s%s", i ? " " : "", o->choices[i]);
                fputc(')', f);
            } else {
                fprintf(f, ":%s", zsh_action(o->complete));
            }
        }
        fputs("' \\\n", f);
    }
}

static void zsh_applet(FILE *f, const struct cli_applet *applet)
{
    fprintf(f, "_ipcbox_%s() {\n  local -a verbs\n  local verb w\n  verbs=(\n", applet->name);
    for (size_t i = 0; applet->verbs[i]; i++) {
        fprintf(f, "    '%s:", applet->verbs[i]->name);
        zsh_text(f, applet->verbs[i]->summary);
        fputs("'\n", f);
    }
    fputs("  )\n"
          "  for w in ${words[2,CURRENT-1]}; do\n"
          "    case $w in -*) ;; *) verb=$w; break ;; esac\n"
          "  done\n",
          f);
    if (applet->operand_verb)
        operand_case(f, applet);
    fputs("  case $verb in\n", f);
    for (size_t i = 0; applet->verbs[i]; i++) {
        const struct cli_verb *v = applet->verbs[i];

        fprintf(f, "    %s)\n      _arguments -s -S \\\n", v->name);
        each_option(applet, v, zsh_option, f);
        fprintf(f, "        '*:operand:%s' ;;\n", zsh_action(v->complete));
    }
    fputs("    *)\n      _describe -t commands command verbs\n", f);
    if (applet->operand_verb)
        fprintf(f, "      %s\n", zsh_action(applet->operand_verb->complete));
    fputs("      ;;\n  esac\n}\n\n", f);
}

int cli_write_zsh(FILE *f, const struct cli_applet *const *applets)
{
    fputs("#compdef", f);
    for (size_t i = 0; applets[i]; i++)
        fprintf(f, " %s", applets[i]->name);
    fputs("\n\n_ipcbox_queues() {\n"
          "  local -a queues\n"
          "  queues=(/dev/mqueue/*(N:t))\n"
          "  compadd -- /${^queues}\n"
          "}\n\n",
          f);
    for (size_t i = 0; applets[i]; i++)
        zsh_applet(f, applets[i]);
    fputs(
        "_ipcbox_main() {\n"
        "  local name=${words[1]:t}\n"
        "  if [[ $name == ipcbox ]] && (( CURRENT > 2 )) && (( $+functions[_ipcbox_${words[2]}] ))"
        " && [[ ${words[2]} != ipcbox ]]; then\n"
        "    shift words\n"
        "    (( CURRENT-- ))\n"
        "    name=${words[1]}\n"
        "  elif [[ $name == ipcbox ]] && (( CURRENT == 2 )); then\n"
        "    compadd --",
        f);
    for (size_t i = 0; applets[i]; i++)
        if (strcmp(applets[i]->name, "ipcbox"))
            fprintf(f, " %s", applets[i]->name);
    fputs("\n  fi\n  _ipcbox_$name\n}\n\n_ipcbox_main \"$@\"\n", f);
    return ferror(f) ? -EIO : 0;
}

/* ---- fish ---- */

static void fish_option(FILE *f, const char *applet, const char *condition, const struct cli_opt *o)
{
    fprintf(f, "complete -c %s", applet);
    if (condition)
        fprintf(f, " -n '__ipcbox_verb %s'", condition);
    if (o->short_name)
        fprintf(f, " -s %c", o->short_name);
    fprintf(f, " -l %s", o->name);
    if (cli_metavar(o))
        fputs(o->complete == CLI_COMPLETE_FILE || o->complete == CLI_COMPLETE_DIR ? " -r" : " -x",
              f);
    if (o->choices) {
        fputs(" -a '", f);
        for (size_t i = 0; o->choices[i]; i++)
            fprintf(f, "%s%s", i ? " " : "", o->choices[i]);
        fputc('\'', f);
    } else if (o->complete == CLI_COMPLETE_QUEUE) {
        fputs(" -a '(__ipcbox_queues)'", f);
    } else if (o->complete == CLI_COMPLETE_PID) {
        fputs(" -a '(__fish_complete_pids)'", f);
    }
    fputs(" -d '", f);
    quoted(f, o->help);
    fputs("'\n", f);
}

static void fish_applet(FILE *f, const struct cli_applet *applet)
{
    fprintf(f, "\ncomplete -c %s -f\n", applet->name);
    for (size_t i = 0; applet->verbs[i]; i++) {
        const struct cli_verb *v = applet->verbs[i];

        fprintf(f, "complete -c %s -n '__ipcbox_verb' -a %s -d '", applet->name, v->name);
        quoted(f, v->summary);
        fputs("'\n", f);
        if (v->complete == CLI_COMPLETE_QUEUE)
            fprintf(f, "complete -c %s -n '__ipcbox_verb %s' -a '(__ipcbox_queues)'\n",
                    applet->name, v->name);
        if (v->complete == CLI_COMPLETE_FILE || v->complete == CLI_COMPLETE_COMMAND ||
            v->complete == CLI_COMPLETE_DIR)
            fprintf(f, "complete -c %s -n '__ipcbox_verb %s' -F\n", applet->name, v->name);
        for (const struct cli_opt *o = cli_group(applet, v, GROUP_VERB); o->type != CLI_TYPE_END;
             o++)
            fish_option(f, applet->name, v->name, o);
    }
    if (applet->operand_verb && applet->operand_verb->complete == CLI_COMPLETE_QUEUE)
        fprintf(f, "complete -c %s -n '__ipcbox_verb' -a '(__ipcbox_queues)'\n", applet->name);
    for (enum cli_group g = 0; g < GROUP_VERB; g++)
        for (const struct cli_opt *o = cli_group(applet, NULL, g); o->type != CLI_TYPE_END; o++)
            fish_option(f, applet->name, NULL, o);
}

int cli_write_fish(FILE *f, const struct cli_applet *const *applets)
{
    fputs("# fish completion for ipcbox and its applets\n\n"
          "function __ipcbox_queues\n"
          "    for q in /dev/mqueue/*\n"
          "        echo /(basename $q)\n"
          "    end\n"
          "end\n\n"
          "# Without an argument: no command word yet. With one: that is the command word.\n"
          "function __ipcbox_verb\n"
          "    set -l words (commandline -opc)[2..-1]\n"
          "    for w in $words\n"
          "        switch $w\n"
          "            case '-*'\n"
          "            case '*'\n"
          "                test (count $argv) -gt 0; and test $w = $argv[1]\n"
          "                return\n"
          "        end\n"
          "    end\n"
          "    test (count $argv) -eq 0\n"
          "end\n",
          f);
    for (size_t i = 0; applets[i]; i++)
        fish_applet(f, applets[i]);
    for (size_t i = 0; applets[i]; i++)
        if (strcmp(applets[i]->name, "ipcbox")) {
            fprintf(f, "complete -c ipcbox -n '__ipcbox_verb' -a %s -d '", applets[i]->name);
            quoted(f, applets[i]->summary);
            fputs("'\n", f);
        }
    return ferror(f) ? -EIO : 0;
}
