/** Stands in for your own authentication, say Auth.js or Clerk; the request does not get to choose who it is. */
export async function readUser() {
  return { id: 'END_USER_ID' }
}
