import type { Environment } from '../../options/environment.js'

/**
 * The lines that set `variables` in the user's shell.
 *
 * On Windows, these are lines for PowerShell and for cmd: `npx` starts this process from cmd, whatever the user's shell
 * is. A POSIX shell, such as Git Bash, sets `SHELL` there.
 */
export function shellLines(
  variables: Readonly<Record<string, string>>,
  platform: NodeJS.Platform,
  { SHELL: shell }: Environment,
): string[] {
  const entries = Object.entries(variables)
  if (platform !== 'win32' || shell) return entries.map(([name, value]) => `export ${name}=${value}`)
  return [
    ...['# PowerShell', ...entries.map(([name, value]) => `$env:${name} = '${value}'`)],
    ...['', 'rem cmd', ...entries.map(([name, value]) => `set "${name}=${value}"`)],
  ]
}
