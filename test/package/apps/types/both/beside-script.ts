import express from "express";
import { session } from "sojourn";

const app = express();
app.use(session());
app.get("/", (req, res) => res.json(req.session.cart));
