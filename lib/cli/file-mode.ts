/** Whether the mode lets other users read or write the file. Always false on Windows, where the mode does not say. */
export function isOpenToOthers({ mode }: { readonly mode: number }): boolean {
  return process.platform !== 'win32' && (mode & 0o077) !== 0
}
