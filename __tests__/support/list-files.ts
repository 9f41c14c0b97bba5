import { readdirSync } from 'node:fs'
import path from 'node:path'

const NOT_OURS = /(^|\/)(node_modules|dist|\.next)\//

/** Returns the files below a folder of the repository whose names match, as paths with `/` from the root, sorted. */
export function listFiles(folder: string, name: RegExp): string[] {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  return files
    .map(file => path.posix.join(folder, file.replaceAll(path.sep, '/')))
    .filter(file => name.test(file) && !NOT_OURS.test(file))
    .sort()
}
