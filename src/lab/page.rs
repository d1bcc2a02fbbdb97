//! The page of a run: what was claimed, by whom, what came out, and whether it holds. It needs nothing from outside.

use super::{Experiment, Finding, LabRun, Report, Size};

/// Colours for light and dark rooms alike come from the reader's own settings; the plot stands on white.
pub const STYLE: &str = "body{font:16px/1.5 sans-serif;max-width:52em;margin:2em auto;padding:0 1em}\
table{border-collapse:collapse}td,th{border:1px solid #bbb;padding:.2em .6em;text-align:left}\
svg{max-width:100%;height:auto;background:#fff}.holds{color:#070}.does-not-hold{color:#a00}.not-decided{color:#850}";

/// By what a page of this program is known.
const MARK: &str = "<meta name=\"generator\" content=\"wgrnn lab\">";

/// Whether a page may be written over this text.
pub fn is_page(text: &str) -> bool {
    text.contains(MARK)
}

/// The whole page of these sections.
pub fn page(title: &str, sections: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n{MARK}\n<title>{0}</title>\n<style>{STYLE}</style>\n\
         </head>\n<body>\n{sections}</body>\n</html>\n",
        escaped(title),
    )
}

/// What a page says of a run; `drawings` are SVGs.
pub fn section(run: &LabRun<'_>, report: &Report, drawings: &[String]) -> String {
    let (experiment, size) = (run.experiment, run.size);
    let mut html = format!(
        "<h1 id=\"{0}\">{0}</h1>\n<p>{1}</p>\n<p>{2}</p>\n<p><code>wgrnn lab {0} --{3} --seed {4}</code>, version {5}, on {6}; \
         {7} points.</p>\n<h2>Claims</h2>\n",
        escaped(experiment.name()),
        escaped(experiment.about()),
        escaped(experiment.method()),
        size.name(),
        run.seed,
        env!("CARGO_PKG_VERSION"),
        escaped(&run.device.identity()),
        report.measured.len(),
    );
    if size == Size::Quick {
        html += "<p>Quick means small models and short trainings, with one seed or two: what is decided by little is decided by --full.</p>\n";
    }
    for finding in &report.findings {
        html += &format!(
            "<p><strong>{}</strong> ({})<br>\n{}<br>\n{}</p>\n",
            escaped(finding.claim),
            escaped(finding.by),
            escaped(&finding.found),
            verdict(finding),
        );
    }
    for drawing in drawings {
        // The drawing's own head is for files alone.
        let drawing = drawing.find("<svg").map_or(&**drawing, |at| &drawing[at..]);
        html += &format!("{drawing}\n");
    }
    html += &format!(
        "<details><summary>Settings</summary>\n<pre>{}</pre>\n</details>\n",
        escaped(&run.settings())
    );
    html += "<details><summary>Table</summary>\n<table>\n";
    for (n, line) in report.table.lines().enumerate() {
        let tag = if n == 0 { "th" } else { "td" };
        let cells = line
            .split('\t')
            .map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell)));
        html += &format!("<tr>{}</tr>\n", cells.collect::<String>());
    }
    html + "</table>\n</details>\n"
}

/// One page of all experiments: what holds first, then each of them.
pub fn together(reports: &[(&dyn Experiment, Report)]) -> String {
    let mut html = "<h1>The laboratory</h1>\n<table>\n".to_owned();
    for (experiment, report) in reports {
        let name = escaped(experiment.name());
        for finding in &report.findings {
            html += &format!(
                "<tr><td><a href=\"#{name}\">{name}</a></td><td>{}</td><td>{}</td></tr>\n",
                escaped(finding.claim),
                verdict(finding),
            );
        }
    }
    html += "</table>\n";
    html += &reports.iter().map(|r| &*r.1.section).collect::<String>();
    page("The laboratory", &html)
}

/// The verdict with its colour.
fn verdict(finding: &Finding) -> String {
    let verdict = finding.verdict();
    let class = verdict.replace(' ', "-");
    format!("<strong class=\"{class}\">{verdict}</strong>")
}

/// Text as HTML has it.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
