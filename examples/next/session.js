/** Replace this with your own authentication, such as Auth.js or Clerk. The request must never choose the user. */
export async function readUser() {
  return { id: 'END_USER_ID' }
}
