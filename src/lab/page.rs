//! The page of a run: what was claimed, by whom, what came out, and whether it holds. It needs nothing from outside.

use super::{Experiment, Report, Size};

/// Colours for light and dark rooms alike come from the reader's own settings; the plot stands on white.
pub const STYLE: &str = "body{font:16px/1.5 sans-serif;max-width:52em;margin:2em auto;padding:0 1em}\
table{border-collapse:collapse}td,th{border:1px solid #bbb;padding:.2em .6em;text-align:left}\
svg{max-width:100%;height:auto;background:#fff}.holds{color:#070}.does-not-hold{color:#a00}.not-decided{color:#850}";

/// The whole page; `svg` is the plot.
pub fn page(
    experiment: &dyn Experiment,
    size: Size,
    seed: u64,
    report: &Report,
    svg: &str,
) -> String {
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{0}</title>\n<style>{STYLE}</style>\n\
         </head>\n<body>\n<h1>{0}</h1>\n<p>{1}</p>\n<p>{2}</p>\n<p><code>wgrnn lab {0} --{3} --seed {seed}</code>, version {4}; \
         {5} points.</p>\n<h2>Claims</h2>\n",
        escaped(experiment.name()),
        escaped(experiment.about()),
        escaped(experiment.method()),
        size.name(),
        env!("CARGO_PKG_VERSION"),
        report.measured.len(),
    );
    for finding in &report.findings {
        let verdict = finding.verdict();
        html += &format!(
            "<p><strong>{}</strong> ({})<br>\n{}<br>\n<strong class=\"{}\">{verdict}</strong></p>\n",
            escaped(finding.claim),
            escaped(finding.by),
            escaped(&finding.found),
            verdict.replace(' ', "-"),
        );
    }
    // The drawing's own head is for files alone.
    let drawing = svg.find("<svg").map_or(svg, |at| &svg[at..]);
    html += &format!("<h2>Plot</h2>\n{drawing}\n<h2>Table</h2>\n<table>\n");
    for (n, line) in report.table.lines().enumerate() {
        let tag = if n == 0 { "th" } else { "td" };
        let cells = line
            .split('\t')
            .map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell)));
        html += &format!("<tr>{}</tr>\n", cells.collect::<String>());
    }
    html + "</table>\n</body>\n</html>\n"
}

/// Text as HTML has it.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
