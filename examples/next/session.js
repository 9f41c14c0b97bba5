/** Stands in for your own authentication, such as Auth.js or Clerk, and lets everyone in; the request never chooses the user. */
export async function readUser() {
  return { id: 'END_USER_ID' }
}
