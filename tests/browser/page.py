"""The page as a person meets it: texts, buttons, and the circles and dots of the map."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException, WebDriverException
from selenium.webdriver import Chrome
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

SECONDS = 180
IGNORED = (NoSuchElementException, StaleElementReferenceException, WebDriverException)
# What Leaflet has on the map, by kind: a circle's radius is in metres, a dot's in pixels, a line has points.
LAYERS = """
const found = {circles: [], dots: [], lines: []};
window.map.eachLayer(layer => {
  const shade = layer.options.color;
  if (layer instanceof L.Circle)
    found.circles.push({lat: layer.getLatLng().lat, lon: layer.getLatLng().lng, metres: layer.getRadius(), shade});
  else if (layer instanceof L.CircleMarker)
    found.dots.push({lat: layer.getLatLng().lat, lon: layer.getLatLng().lng, shade});
  else if (layer instanceof L.Polyline)
    found.lines.push(layer.getLatLngs().map(point => [point.lat, point.lng]));
});
return found;
"""


class Page:
    """What the browser shows."""

    def __init__(self, browser: Chrome) -> None:
        self.browser = browser

    def until(self, what: Callable[[], Any]) -> Any:
        """What it is once it is true. A page that is being built anew may lose the element meanwhile."""
        return WebDriverWait(self.browser, SECONDS, 0.1, IGNORED).until(lambda _: what())

    def text(self) -> str:
        return self.browser.find_element(By.TAG_NAME, "body").text

    def shows(self, text: str) -> None:
        """Wait for a text."""
        try:
            self.until(lambda: text in self.text())
        except WebDriverException as error:
            raise AssertionError(f"{text!r} is not in:\n{self.text()}") from error

    def alerts(self, kind: str) -> list[str]:
        """The texts of the boxes of a kind: Error, Warning."""
        boxes = self.browser.find_elements(By.CSS_SELECTOR, f'[data-testid="stAlertContent{kind}"]')
        return [box.text for box in boxes]

    def click(self, text: str) -> None:
        """Click a button, a link or an option by what is written on it."""
        xpath = f'//*[self::button or self::a or self::label or @role="option"][contains(., "{text}")]'
        self._click(By.XPATH, xpath)

    def choose(self, label: str, option: str) -> None:
        """Choose from a list that takes several."""
        field = f'input[aria-label*="{label}"]'
        self._click(By.CSS_SELECTOR, field)
        self.click(option)

    def _click(self, by: str, what: str) -> None:
        def done() -> bool:
            self.browser.find_element(by, what).click()
            return True

        self.until(done)

    @contextmanager
    def map(self) -> Iterator[None]:
        """Within: scripts run where Leaflet is."""
        frame = self.until(lambda: self.browser.find_element(By.CSS_SELECTOR, "iframe[title*=folium]"))
        self.browser.switch_to.frame(frame)
        try:
            self.until(lambda: self.browser.execute_script("return !!window.map && !!window.feature_group"))
            yield
        finally:
            self.browser.switch_to.default_content()

    def in_map(self, script: str) -> Any:
        """What the script returns, once there is a map."""
        with self.map():
            return self.browser.execute_script(script)

    def layers(self) -> dict[str, list[Any]]:
        """circles, dots and lines on the map."""
        found: dict[str, list[Any]] = self.in_map(LAYERS)
        return found

    def circles(self) -> list[tuple[float, float]]:
        """Where the circles are, in order."""
        return sorted((one["lat"], one["lon"]) for one in self.layers()["circles"])

    def tooltip(self, kind: str, latitude: float) -> tuple[str, str]:
        """Point at the circle (L.Circle) or dot (L.CircleMarker) there: the tooltip's text and its HTML."""
        path = f"""
        let found = null;
        window.map.eachLayer(layer => {{ if (layer.constructor === {kind} && layer.getLatLng().lat === {latitude})
          found = layer.getElement(); }});
        return found;
        """
        with self.map():
            ActionChains(self.browser).move_to_element(self.browser.execute_script(path)).perform()
            tooltip = ".leaflet-tooltip"  # it has a text once it has faded in
            text = self.until(lambda: self.browser.find_element(By.CSS_SELECTOR, tooltip).text)
            return str(text), str(self.browser.find_element(By.CSS_SELECTOR, tooltip).get_attribute("innerHTML"))

    def asked_elsewhere(self) -> list[str]:
        """Addresses not of this machine that it asked for."""
        said = [json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance")]  # type: ignore[no-untyped-call]
        asked = [one["params"]["request"]["url"] for one in said if one["method"] == "Network.requestWillBeSent"]
        return [url for url in asked if not url.startswith(("http://127.0.0.1:", "data:", "blob:"))]
