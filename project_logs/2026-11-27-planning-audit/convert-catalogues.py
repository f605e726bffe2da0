"""Catalogues of tools that others annotated, in the format of TaskBench's graphs (nodes with id, input-type, output-type)."""
import json, re, subprocess, sys
mirror, out = sys.argv[1:]
def show(repo, file):
    return json.loads(subprocess.check_output(["git", "-C", f"{mirror}/{repo}/repo", "show", f"HEAD:{file}"]), strict=False)
word = lambda text: re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")
def write(name, tools):
    seen, nodes = set(), []
    for id, takes, gives in tools:
        if not gives or word(id) in seen or len(set(takes)) > 32 or len(set(gives)) > 32: continue
        seen.add(word(id))
        nodes.append({"id": "t-" + word(id), "input-type": takes, "output-type": gives})
    json.dump({"nodes": nodes}, open(f"{out}/{name}.json", "w"))
    print(name, len(nodes))
# Daily-life APIs: parameters by name and type; any of them may come after any other, whose answer it then takes.
tools = show("microsoft+JARVIS", "taskbench/data_dailylifeapis/graph_desc.json")["nodes"]
write("dailylifeapis", [(t["id"], [word(p["name"]) + "." + word(p["type"]) for p in t["parameters"]] + ["answer"], ["answer"]) for t in tools])
# APE: a value is described in several dimensions, each by terms; what it is (not its file format) is its type here.
def typed(value):
    value = {dim: terms for dim, terms in value.items() if dim in ("Type", "data_0006")} or value
    return "T." + "_".join(word(str(t).split("/")[-1].split("#")[-1]) for dim in sorted(value) if dim != "APE_label" for t in sorted(value[dim]))[:100]
for name, file in {"imagemagick": "ImageMagick/tool_annotations.json", "geogmt": "GeoGMT/tool_annotations.json",
    "geo-operators": "GeoEvents/GeooperatorsAnnotation.json", "proteomics": "MassSpectometry/bio.tools_proteomics_domain.json",
    "bio-tools": "MassSpectometry/full_bio.tools.json", "metabolomics": "Metabolomics/tool_annotations.json",
    "gis": "OriginalQuanGIS/ToolDescription_ct.json", "arcgis": "QuAnGIS/ArcGIS/ArcGIStools.json"}.items():
    found = show("sanctuuary+APE_UseCases", file)
    tools = found["functions"] if isinstance(found, dict) else found
    write(name, [(t["id"].split("#")[-1], [typed(v) for v in t.get("inputs", []) if v], [typed(v) for v in t.get("outputs", []) if v]) for t in tools])
