// What an application has of its own: the pages import it, and leave it out.
const users = [
  { id: 1, username: "ada", email: "ada@example.com", password: "open sesame" },
  { id: 2, username: "eve", email: "eve@example.com", password: "apple" },
];

/** @param {unknown} id */
export const findUser = (id) => users.find((user) => user.id === Number(id));

/** @param {string} username @param {string} password */
export const checkPassword = (username, password) =>
  users.find((user) => user.username === username && user.password === password);
