/** The one page of both sites. */
export function page(library, user, views) {
  const name = String(user ?? "stranger")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;");
  return `<p>On ${library}: hello ${name}, visit ${views}.</p>
    <form action="/login" method="post"><input name="name" required> <button>Log in</button></form>
    <form action="/logout" method="post"><button>Log out</button></form>
    <form action="/deploy" method="post"><button>Deploy the site on Sojourn</button></form>`;
}
