import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import path from 'node:path'
import { filesOf } from '../../__tests__/consumers/package.mjs'

/** What no published file may contain. */
const LEAKS = {
  'a path of a machine':
    /(?:\/(?:home|Users|builds|workspace)\/|\b[A-Z]:\\{1,2}Users\\{1,2})[\w.-]+[/\\]|\/(?:root|tmp|private)\/|file:\/\/\//,
  'a JWT, such as an app secret': /\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*/,
  'a private key': /-----BEGIN [A-Z ]*PRIVATE KEY-----\s*(?:\\n)?[\w+/]{40}/,
  'a token of npm, GitHub or AWS': /\b(?:npm_[A-Za-z0-9]{36}|(?:gh[pousr]_|github_pat_)\w{36,}|AKIA[0-9A-Z]{16})\b/,
}

/** Fails if a file contains a path of a machine, something that looks like a secret, or a secret of this environment. */
export async function checkLeaks(root) {
  // A short one, such as /app, is also part of other paths.
  const folders = [process.cwd(), homedir()].filter(folder => folder.split(/[/\\]/).length > 2)
  const here = folders.flatMap(folder => [`${folder}/`, `${folder}\\`])
  const secrets = Object.entries(process.env)
    .filter(([name, value]) => /TOKEN|SECRET|PASSWORD|KEY/i.test(name) && value.length >= 12)
    .map(([, value]) => value)
  const files = await filesOf(root)
  const found = await Promise.all(files.map(async file => leaksOf(await readFile(path.join(root, file), 'utf8'), file)))
  if (found.flat().length > 0) throw new Error(found.flat().join('\n'))
  return `${files.length} files`

  function leaksOf(text, file) {
    const leaks = Object.entries(LEAKS).filter(([, pattern]) => pattern.test(text))
    const names = leaks.map(([name]) => name)
    if (here.some(folder => text.includes(folder))) names.push('a path of this machine')
    if (secrets.some(secret => text.includes(secret))) names.push('a secret of this environment')
    // The text itself is not shown, because logs of a release may be public.
    return names.map(name => `${file} contains ${name}`)
  }
}
