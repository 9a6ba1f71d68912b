// What `npx jest` does by itself, and Babel for the files that use `import`.
module.exports = {
  testEnvironment: "node",
  transform: {
    "imports\\.test\\.js$": ["babel-jest", { plugins: ["@babel/plugin-transform-modules-commonjs"] }],
    "\\.js$": "babel-jest",
  },
};
