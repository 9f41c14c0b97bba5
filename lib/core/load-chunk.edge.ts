/** Returns a part of the package. At the edge the package is one file, so it is there already. */
export function loadChunk<T>(load: () => Promise<T>, _file: string): Promise<T> {
  return load()
}
