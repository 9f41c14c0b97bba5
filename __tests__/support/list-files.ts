import { readdirSync } from 'node:fs'

const NOT_OURS: readonly string[] = ['node_modules', 'dist', '.next']

/** Returns the files below a folder of the repository whose names match, as paths with `/` from the root, sorted. */
export function listFiles(folder: string, name: RegExp): string[] {
  // A link is not followed: the benchmarks install one to the repository itself.
  return readdirSync(folder, { withFileTypes: true })
    .flatMap(entry => {
      const file = `${folder}/${entry.name}`
      if (entry.isDirectory()) return NOT_OURS.includes(entry.name) ? [] : listFiles(file, name)
      return name.test(file) ? [file] : []
    })
    .sort()
}
