// Takes the place of what packages of the command import for options which it never sets: string-width of cli-progress,
// for its own format, and a module of csv-parse, for its option `delimiter_auto`, which is a circular import. Not in
// unused-by-got.mjs, because a mint would load the chunk of the command.
export default function notBundled() {
  throw new Error('This feature is not part of the package.')
}
export { notBundled as delimiter_discover }
